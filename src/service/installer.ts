/**
 * Makes a mesh node a service of the system, and ends that. What is not Shoal's is never overwritten or removed: a unit
 * without our mark, a user of the same name that somebody else made, options that a person has changed.
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { Exit, Failure } from "../exit.ts";
import { STATE_FILE } from "../generations.ts";
import { refuseUnsafePath } from "../safe_path.ts";
import { SEALED_TOKEN_CREDENTIAL } from "./credential.ts";
import { optionsText } from "./options.ts";
import {
  checkServiceName,
  OPTIONS,
  optionsFile,
  placeOfService,
  servicesWithOptions,
  SYSTEM_SOCKETS,
  SYSTEM_STATES,
  UNIT,
} from "./place.ts";
import { must, namesAt, removeAt, removeEmptyAt, type System, textAt, writeAt } from "./system.ts";
import { MARK, rightsIn, SERVICE_USER, unitName, unitText } from "./unit.ts";

/** It tells our user from another of the same name. */
const USER_TITLE = "Shoal mesh node";
/** What the unit hides from its program (ProtectHome=, PrivateTmp=). */
const HIDDEN = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/** systemd looks for credentials in these folders (systemd.exec(5)), and the unit for these names. */
function credentialFiles(service: string) {
  return {
    plain: `/etc/credstore/shoal.${service}.token`,
    sealed: `/etc/credstore.encrypted/shoal.${service}.token.sealed`,
  } as const;
}

export interface InstallWish {
  readonly service: string;
  /** Below it is the installed program: PREFIX/bin/shoal. */
  readonly prefix: string;
  /** The invite by which its first start joins. Secret. */
  readonly token: string | undefined;
  /** The invite is kept encrypted, by a key of this machine. */
  readonly isSealed: boolean;
}

/** @returns lines for the person @throws {Failure} when it cannot be done; then nothing has changed */
export async function installService(
  system: System,
  { service, prefix, token, isSealed }: InstallWish,
): Promise<string[]> {
  refuseUnmanaged(system, "install");
  checkServiceName(service);
  const program = `${prefix}/bin/shoal`;
  refuseUnreachable(system, prefix);
  const rights = rightsIn(system.boundingSet);
  if (!rights.includes("CAP_NET_ADMIN")) {
    const what =
      "install: this machine has no CAP_NET_ADMIN, as some containers: grant it to the container";
    throw new Failure(Exit.failed, what);
  }
  refuseForeignUnit(system);
  const user = await userOf(system);
  if (user === "foreign") {
    throw new Failure(
      Exit.failed,
      `install: a user or group '${SERVICE_USER}' exists and is not Shoal's: rename it, so that the service can have one of its own`,
    );
  }
  if (token !== undefined && isSealed) await must(system, "systemd-creds", ["--version"]);

  if (user === undefined) {
    const line = `u ${SERVICE_USER} - "${USER_TITLE}" ${SYSTEM_STATES}`;
    await must(system, "systemd-sysusers", ["--inline", line]);
  }
  const unit = unitText(program, rights);
  const isNewer = textAt(system, UNIT) !== undefined && textAt(system, UNIT) !== unit;
  // A node that root ran by hand may have made it for root alone.
  const states = join(system.root, SYSTEM_STATES);
  if (fs.existsSync(states)) fs.chmodSync(states, 0o755);
  writeAt(system, UNIT, unit, 0o644);
  const options = optionsFile(service);
  if (textAt(system, options) === undefined) writeAt(system, options, optionsText(service), 0o600);
  if (token !== undefined) await keepToken(system, service, token, isSealed);
  await must(system, "systemctl", ["daemon-reload"]);

  const isAlone = token === undefined && textAt(system, options) === optionsText(service);
  const knows = fs.existsSync(join(system.root, placeOfService(service).stateDir));
  return [
    `shoal@${service} is installed: it runs as user '${SERVICE_USER}', with the options in ${options}`,
    ...(isAlone && !knows
      ? [
        "as it is, its first start founds a new mesh; with an invite it joins one: " +
        `shoal install --service ${service} --token-file FILE`,
      ]
      : []),
    `start it, now and whenever this machine starts: systemctl enable --now shoal@${service}`,
    ...(isNewer ? ["what runs already goes on as before: systemctl restart 'shoal@*'"] : []),
  ];
}

async function keepToken(
  system: System,
  service: string,
  token: string,
  isSealed: boolean,
): Promise<void> {
  forgetToken(system, service);
  const { plain, sealed } = credentialFiles(service);
  const file = isSealed ? sealed : plain;
  fs.mkdirSync(join(system.root, dirname(file)), { recursive: true, mode: 0o700 });
  const text = isSealed
    ? await must(
      system,
      "systemd-creds",
      ["encrypt", `--name=${SEALED_TOKEN_CREDENTIAL}`, "-", "-"],
      `${token}\n`,
    )
    : `${token}\n`;
  writeAt(system, file, text, 0o600);
}

function forgetToken(system: System, service: string): void {
  for (const file of Object.values(credentialFiles(service))) removeAt(system, file);
}

export interface UninstallWish {
  /** Undefined: the only one. */
  readonly service: string | undefined;
  readonly isAll: boolean;
  /** Removes the state and the options, too: the machine is another one to the mesh then. */
  readonly isPurge: boolean;
}

/** @returns lines for the person @throws {Failure} when it cannot be done */
export async function uninstallServices(
  system: System,
  wish: UninstallWish,
): Promise<string[]> {
  refuseUnmanaged(system, "uninstall");
  refuseForeignUnit(system);
  const there = await services(system);
  if (there.length === 0 && !wish.isAll) refuseNone(system, wish.service);
  const chosen = choose(there, wish);
  const lines: string[] = [];
  for (const service of chosen) {
    lines.push(...await uninstallService(system, service, wish.isPurge));
  }
  const left = there.filter((service) => !chosen.includes(service));
  if (left.length > 0) {
    return [...lines, `other services go on: ${left.map((name) => `shoal@${name}`).join(" ")}`];
  }
  removeAt(system, UNIT);
  await must(system, "systemctl", ["daemon-reload"]);
  // Those that are no service any more, as of an installation that somebody removed by hand.
  await system.run("systemctl", ["reset-failed", "shoal@*"]);
  if (await userOf(system) === "ours") {
    await must(system, "userdel", [SERVICE_USER]);
    // userdel leaves a group that has other members.
    const group = await system.run("getent", ["group", SERVICE_USER]);
    if (group.code === 0) await must(system, "groupdel", [SERVICE_USER]);
    lines.push(`the user '${SERVICE_USER}' is removed`);
  }
  for (const folder of [OPTIONS, SYSTEM_STATES, SYSTEM_SOCKETS]) removeEmptyAt(system, folder);
  return lines;
}

function choose(
  there: readonly string[],
  { service, isAll }: UninstallWish,
): readonly string[] {
  if (isAll) return there;
  const list = there.map((name) => `shoal@${name}`).join(" ");
  if (service !== undefined) {
    if (there.includes(checkServiceName(service))) return [service];
    throw new Failure(
      Exit.failed,
      `uninstall: there is no service shoal@${service}; there are: ${list}`,
    );
  }
  if (there.length === 1) return there;
  throw new Failure(Exit.usage, `uninstall: which one? ${list} (or --all)`);
}

/** Who wants to be rid of what is left reads where it is: a state may be that of a node that root runs by hand. */
function refuseNone(system: System, service: string | undefined): never {
  const states = namesAt(system, SYSTEM_STATES)
    .filter((name) => service === undefined || name === service)
    .map((name) => `${SYSTEM_STATES}/${name}`);
  const left = states.length === 0
    ? ""
    : `; what nodes have left is in ${states.join(" and ")}: rm -r removes it, with the node's key`;
  throw new Failure(Exit.failed, `uninstall: no service of Shoal's is here${left}`);
}

async function uninstallService(
  system: System,
  service: string,
  isPurge: boolean,
): Promise<string[]> {
  const unit = unitName(service);
  // The node says good-bye; a unit that was never started is no error. Without its file it has to stop only.
  const hasUnit = textAt(system, UNIT) !== undefined;
  await must(system, "systemctl", hasUnit ? ["disable", "--now", unit] : ["stop", unit]);
  // A unit that has failed is remembered, and listed, although it is gone. One that has not is no error to us.
  await system.run("systemctl", ["reset-failed", unit]);
  forgetToken(system, service);
  const options = optionsFile(service);
  const { stateDir } = placeOfService(service);
  const hasState = fs.existsSync(join(system.root, stateDir));
  // Written when a mesh has heard of the node: before that it is on nobody's list.
  const hasJoined = fs.existsSync(join(system.root, stateDir, STATE_FILE));
  const isTouched = textAt(system, options) !== undefined &&
    textAt(system, options) !== optionsText(service);
  const lines = [`shoal@${service} is stopped and removed`];
  if (isPurge || !isTouched) removeAt(system, options);
  else {
    lines.push(
      `its options stay in ${options}, for a service of that name: rm ${options} removes them`,
    );
  }
  if (isPurge && hasState) {
    removeAt(system, stateDir);
    lines.push(
      hasJoined
        ? "its key and its state are removed: on an admin's machine, 'shoal revoke' its name, too"
        : "its state is removed: it was in no mesh",
    );
  } else if (hasState) {
    // The number of a user that is gone may be given to another one.
    await must(system, "chown", ["-hR", "root:root", join(system.root, stateDir)]);
    lines.push(
      `its key and its state stay in ${stateDir}, for root alone: a service of that name goes on with ` +
        `them; rm -r ${stateDir} removes them`,
    );
  }
  return lines;
}

/** Every service that has a unit that is loaded or enabled, options, or a state of our user. */
async function services(system: System): Promise<string[]> {
  const list = ["--plain", "--no-legend", "--full", "shoal@*.service"];
  const units = await must(system, "systemctl", ["list-units", "--all", ...list]);
  // Where none is listed it fails, without a word.
  const listed = await system.run("systemctl", ["list-unit-files", ...list]);
  const isNone = listed.code === 1 && `${listed.out}${listed.err}`.trim() === "";
  const files = listed.code === 0 || isNone
    ? listed.out
    : await must(system, "systemctl", ["list-unit-files", ...list]);
  const named = `${units}\n${files}`.matchAll(/^\s*shoal@([^\s]+)\.service\s/gm);
  const options = servicesWithOptions(system.root);
  const user = await idOf(system);
  const states = namesAt(system, SYSTEM_STATES).filter((name) =>
    user !== undefined && fs.lstatSync(join(system.root, SYSTEM_STATES, name)).uid === user
  );
  const all = [...[...named].map(([, name = ""]) => name), ...options, ...states];
  return [...new Set(all)].filter(isServiceName).sort();
}

function isServiceName(name: string): boolean {
  try {
    return checkServiceName(name) === name;
  } catch {
    return false;
  }
}

function refuseUnmanaged(system: System, command: string): void {
  // sd_booted(3)
  if (!fs.existsSync(join(system.root, "/run/systemd/system"))) {
    const what = `${command}: systemd does not run this machine, so it can have no service of it`;
    throw new Failure(Exit.failed, what);
  }
  if (system.uid === 0) return;
  throw new Failure(Exit.noPermission, `${command}: a service is the system's: be root`);
}

function refuseForeignUnit(system: System): void {
  const there = textAt(system, UNIT);
  if (there === undefined || there.startsWith(MARK)) return;
  throw new Failure(Exit.failed, `${UNIT} is not Shoal's: move it away and try again`);
}

/**
 * The program must be there for the service's user, and must not be for anybody but root to change: the service has rights
 * that whoever changes its program would have.
 */
function refuseUnreachable(system: System, prefix: string): void {
  const elsewhere = "another prefix, such as /usr/local";
  if (!/^\/[\w/.+@:-]*$/.test(prefix)) {
    const what =
      `install: the prefix ${prefix} has signs that a unit reads in its own way: choose ${elsewhere}`;
    throw new Failure(Exit.usage, what);
  }
  const hidden = HIDDEN.find((folder) => prefix === folder || prefix.startsWith(`${folder}/`));
  if (hidden !== undefined) {
    const what =
      `install: a service does not see what is below ${hidden}: install into ${elsewhere}`;
    throw new Failure(Exit.failed, what);
  }
  const lib = `${prefix}/lib/shoal`;
  refuseUnsafePath({ path: join(system.root, lib), program: "install", elsewhere });
  for (let at = lib; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const { mode, uid } = fs.statSync(join(system.root, at));
    if ((mode & 0o001) === 0) {
      throw new Failure(
        Exit.failed,
        `install: the service's user cannot enter ${at} (mode 0${(mode & 0o777).toString(8)}): ` +
          `chmod o+x ${at}, or choose ${elsewhere}`,
      );
    }
    if (uid === 0) continue;
    throw new Failure(Exit.failed, `install: ${at} belongs to user ${uid}: install as root`);
  }
}

/** Undefined: there is no user and no group of that name. */
async function userOf(system: System): Promise<"ours" | "foreign" | undefined> {
  const user = await system.run("getent", ["passwd", SERVICE_USER]);
  if (user.code === 0) return user.out.split(":")[4] === USER_TITLE ? "ours" : "foreign";
  const group = await system.run("getent", ["group", SERVICE_USER]);
  return group.code === 0 ? "foreign" : undefined;
}

async function idOf(system: System): Promise<number | undefined> {
  if (await userOf(system) !== "ours") return undefined;
  const { out } = await system.run("getent", ["passwd", SERVICE_USER]);
  return Number(out.split(":")[2]);
}
