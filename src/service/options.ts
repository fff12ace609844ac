/** The options of a service: a file of variables, which the manager puts into the node's environment. */
import { Exit, Failure } from "../exit.ts";

/** Variables of ours that are no options: of the wrappers, the unit and the tests. */
const NOT_OPTIONS = ["CORE", "PREFIX", "PROGRAM", "SERVICE", "TOKEN_FD"];

/** What the file holds before a person has written into it. */
export function optionsText(service: string): string {
  return `# Options of shoal@${service}, one a line. 'shoal node -h' lists all of them: --log-level is SHOAL_LOG_LEVEL.
# They are read at each start: systemctl restart shoal@${service}
#
# An invite does not belong here: shoal install --service ${service} --token-file FILE

#SHOAL_NAME=lyon
#SHOAL_JOIN=203.0.113.9:51820,oslo.example:51820
#SHOAL_LISTEN=51820
#SHOAL_ADVERTISE=lyon.example
#SHOAL_LOG_LEVEL=info
# When a mesh is founded:
#SHOAL_MESH_NAME=home
#SHOAL_POOL=10.77.0.0/16
`;
}

/**
 * A slip in the name of a variable would leave an option out in silence.
 * @param variables names of all that is in the environment
 * @param options names of the options of the command line
 * @throws {Failure} usage (2)
 */
export function refuseUnknownOptions(
  service: string,
  variables: readonly string[],
  options: readonly string[],
): void {
  const names = options.map((option) => option.toUpperCase().replaceAll("-", "_"));
  const known = new Set([...names, ...NOT_OPTIONS].map((name) => `SHOAL_${name}`));
  const unknown = variables.filter((name) => name.startsWith("SHOAL_") && !known.has(name)).sort();
  if (unknown.length === 0) return;
  throw new Failure(
    Exit.usage,
    `/etc/shoal/${service}.conf: ${unknown.join(" and ")}: there is no such option: ` +
      `'shoal node -h' lists them (--listen is SHOAL_LISTEN)`,
  );
}
