/** The systemd unit of a mesh node, one template for every service of this machine: `shoal@NAME.service`. */
import { Exit } from "../exit.ts";
import { SEALED_TOKEN_CREDENTIAL, TOKEN_CREDENTIAL } from "./credential.ts";
import { SERVICE_VARIABLE } from "./place.ts";

/** The first line of what install writes: nothing without it is overwritten or removed. */
export const MARK = "# written by shoal install";

/**
 * The user that every service runs as, and the group whose members may look at it. A user of its own, which stays, and
 * not one that systemd makes for each start (DynamicUser=): people are put into the group by its name; the state keeps
 * its owner over restarts; and systemd would put the state behind a symbolic link, which the state folder refuses.
 */
export const SERVICE_USER = "shoal";

export function unitName(service: string): string {
  return `shoal@${service}.service`;
}

/**
 * What a node may do that others may not: its interface, the program that spreads packets over its queues, and port
 * 53, where it answers names. The numbers are those of capabilities(7).
 */
const RIGHTS = { CAP_NET_ADMIN: 12n, CAP_BPF: 39n, CAP_NET_BIND_SERVICE: 10n } as const;

export type Right = keyof typeof RIGHTS;

/** Those of the rights that a process with this bounding set can hand on: a container may have been given fewer. */
export function rightsIn(boundingSet: bigint): Right[] {
  const all = Object.entries(RIGHTS) as [Right, bigint][];
  return all.filter(([, number]) => (boundingSet >> number & 1n) === 1n).map(([name]) => name);
}

/**
 * @param program absolute path of the `shoal` that runs it; nothing in it needs quotes
 * @param rights systemd starts nothing that asks for one which the machine does not have
 */
export function unitText(program: string, rights: readonly Right[]): string {
  return `${MARK}: changed by the next one; 'systemctl edit' keeps changes of your own
[Unit]
Description=Shoal mesh node %i
# Neither the network nor DNS has to be there: the node waits for both by itself. A firewall comes first.
After=network-pre.target
StartLimitIntervalSec=0

[Service]
Type=notify
# sh becomes Deno (exec), so the node is the main process and its word counts.
ExecStart=${program} node
# Options are read at the start: the node says good-bye and is back with those that the file has now.
ExecReload=+/bin/systemctl --no-block restart %n
Environment=${SERVICE_VARIABLE}=%i SHOAL_INTERFACE=%i
EnvironmentFile=-/etc/shoal/%i.conf

# Ready are the addresses of the mesh. A first join may wait for the network or for an admin, and goes on in the next start.
TimeoutStartSec=90s
TimeoutStopSec=10s
WatchdogSec=30s
# 'shoal down' and 'leave' end with 0 and mean it.
Restart=on-failure
RestartSec=5s
# A wrong option (2), a missing right (4) and what else no start can mend (5, a damaged state) are for a person; so is
# what the manager says itself of a state folder that is none (238, systemd.exec(5)).
RestartPreventExitStatus=${Exit.usage} ${Exit.noPermission} ${Exit.stuck} 238

User=${SERVICE_USER}
Group=${SERVICE_USER}
StateDirectory=shoal/%i
StateDirectoryMode=0700
# Who is in the group may ask; the socket itself is closed to everybody else.
RuntimeDirectory=shoal/%i
RuntimeDirectoryMode=0755
UMask=0077

# The invite, from /etc/credstore or, encrypted, from /etc/credstore.encrypted. Both may be absent. Two names, because what
# is encrypted is looked for in both folders.
LoadCredential=${TOKEN_CREDENTIAL}:shoal.%i.token
LoadCredentialEncrypted=${SEALED_TOKEN_CREDENTIAL}:shoal.%i.token.sealed

CapabilityBoundingSet=${rights.join(" ")}
AmbientCapabilities=${rights.join(" ")}
NoNewPrivileges=yes
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
${rights.includes("CAP_BPF") ? "SystemCallFilter=bpf\n" : ""}SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute: V8 compiles. Not PrivateUsers: its capabilities would count in no network namespace.
# Not PrivateDevices: it hides /dev/net/tun.
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateIPC=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
RemoveIPC=yes
LimitCORE=0

[Install]
WantedBy=multi-user.target
`;
}
