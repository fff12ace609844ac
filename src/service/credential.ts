/**
 * The invite of a service as a credential (systemd.exec(5)): the manager hands it over in a file that only the service
 * can read, so it stands in no unit, no environment and no process list.
 *
 * The manager looks for it below /etc/credstore and /run/credstore, and for an encrypted one (systemd-creds(1)) below the
 * folders of the same names with `.encrypted`; what a virtual machine or a container was given from outside counts, too.
 * A credential of the unit itself (LoadCredential=, SetCredential=) under one of these names does as well.
 */
import * as fs from "node:fs";
import { join } from "node:path";

/** Of a credential as it is, and of one that the manager has decrypted: one name cannot be loaded in both ways. */
export const TOKEN_CREDENTIAL = "shoal.token";
export const SEALED_TOKEN_CREDENTIAL = "shoal.token.sealed";

/** The file with the invite that the manager has handed over; undefined: there is none. */
export function tokenCredential(env: (name: string) => string | undefined): string | undefined {
  const folder = env("CREDENTIALS_DIRECTORY");
  if (!folder) return undefined;
  const files = [TOKEN_CREDENTIAL, SEALED_TOKEN_CREDENTIAL].map((name) => join(folder, name));
  return files.find((file) => fs.existsSync(file));
}
