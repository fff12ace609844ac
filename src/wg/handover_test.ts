/** What wireguard-go's users hand over: a TUN (WG_TUN_FD), a socket (WG_UAPI_FD), and wg-quick. */
import assert from "node:assert/strict";
import { testUnless } from "../../.ci/skip.ts";
import { Lab } from "../../lxc/lab.ts";
import { missingRight } from "../../lxc/right.ts";
import { until } from "../../lxc/until.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const RUN = `${ROOT}run`;

const right = await missingRight();

/**
 * Opens what is to be handed over without O_CLOEXEC, prints where it is and becomes the parent of
 * the command in its arguments. A program of its own, since it must run inside the laboratory.
 */
const HAND_OVER = `
const libc = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
}).symbols;
const bytes = (text) => new TextEncoder().encode(text + "\\0");
const env = {};
if (Deno.args.includes("tun")) {
  const fd = libc.open(bytes("/dev/net/tun"), 2);
  const request = new Uint8Array(40);
  request.set(bytes("given0"));
  new DataView(request.buffer).setUint16(16, 0x1001, true); // IFF_TUN | IFF_NO_PI
  if (libc.ioctl(fd, BigInt(0x400454ca), request) !== 0) throw new Error("TUNSETIFF");
  env.WG_TUN_FD = String(fd);
}
if (Deno.args.includes("uapi")) {
  Deno.mkdirSync("/run/wireguard");
  const fd = libc.socket(1, 1, 0);
  const address = new Uint8Array(110);
  address[0] = 1;
  address.set(bytes("/run/wireguard/given0.sock"), 2);
  if (libc.bind(fd, address, 110) !== 0 || libc.listen(fd, 8) !== 0) throw new Error("listen");
  env.WG_UAPI_FD = String(fd);
}
const command = Deno.args.slice(Deno.args.indexOf("--") + 1);
const { code } = await new Deno.Command(command[0], { args: command.slice(1), env }).spawn().status;
Deno.exit(code);
`;

for (
  const given of [["tun"], ["uapi"], ["tun", "uapi"]] as const
) {
  for (const flag of ["-f", ""] as const) {
    const name = given.join(" and ").replace("tun", "a TUN").replace("uapi", "a listening socket");
    testUnless(
      { right },
      `${name} handed over ${flag === "" ? "to the background" : "with -f"} is served`,
      async () => {
        await using lab = await Lab.open();
        const host = await lab.host("a");
        const args = [...given, "--", RUN, "wg", ...(flag === "" ? [] : [flag]), "given0"];
        const process = host.spawn([
          Deno.execPath(),
          "eval",
          "--no-check",
          "--ext=js",
          HAND_OVER,
          ...args,
        ], { env: { LOG_LEVEL: "silent" } });
        await until("it answers", 15_000, async () => {
          if (process.ended && flag !== "") throw new Error("it ended");
          return (await host.run(["wg", "show", "given0"], { check: false })).code === 0;
        });
        if (flag === "") assert.equal((await process.status).code, 0);
        const { stdout } = await host.run(["ip", "-d", "link", "show", "given0"]);
        assert.match(stdout, /tun type tun/);
        await host.run(["ip", "link", "set", "given0", "up"]);
        await host.run(["wg", "set", "given0", "listen-port", "4711"]);
        await until(
          "its sockets open",
          3000,
          async () => (await host.run(["ss", "-ulnH", "sport = 4711"])).stdout !== "",
        );
        await host.run(["rm", "/run/wireguard/given0.sock"]);
        await until(
          "its end",
          3000,
          async () =>
            (await host.run(["pgrep", "-f", "src/main.ts wg"], { check: false })).stdout === "",
        );
      },
    );
  }
}

/** Whether `ip link add type wireguard` works here: then wg-quick never asks for a program. */
async function kernelHasWireGuard(): Promise<boolean> {
  await using lab = await Lab.open();
  const host = await lab.host("a");
  const argv = ["ip", "link", "add", "wgk", "type", "wireguard"];
  return (await host.run(argv, { check: false })).code === 0;
}

const kernel = right === undefined && await kernelHasWireGuard();

testUnless(
  { right, thing: kernel ? "this kernel has WireGuard, so wg-quick takes that" : undefined },
  "wg-quick up and down work through an installed shoal-wg, and the link is a TUN",
  async () => {
    await using lab = await Lab.open();
    const [a, b] = [await lab.host("a"), await lab.host("b")];
    await lab.link(a, b, { a: { addresses: ["10.0.0.1/24"] }, b: { addresses: ["10.0.0.2/24"] } });
    const prefix = await Deno.makeTempDir({ prefix: "shoal-prefix-" });
    try {
      await a.run([RUN, "install", prefix]);
      const hosts = [a, b] as const;
      const keys = await Promise.all(hosts.map(async (host) => {
        const secret = (await host.run(["wg", "genkey"])).stdout;
        return { secret, public: (await host.run(["wg", "pubkey"], { stdin: secret })).stdout };
      }));
      const quick = (i: 0 | 1, action: string) =>
        hosts[i].run(["wg-quick", action, "/run/wg0.conf"], {
          env: { WG_QUICK_USERSPACE_IMPLEMENTATION: `${prefix}/bin/shoal-wg` },
        });
      for (const i of [0, 1] as const) {
        const other = 1 - i;
        await hosts[i].run(["sh", "-c", "umask 077; cat > /run/wg0.conf"], {
          stdin: [
            "[Interface]",
            `PrivateKey = ${keys[i]?.secret.trim()}`,
            `Address = 10.7.0.${i + 1}/24, fd07::${i + 1}/64`,
            "ListenPort = 51820",
            "[Peer]",
            `PublicKey = ${keys[other]?.public.trim()}`,
            `AllowedIPs = 10.7.0.${other + 1}/32, fd07::${other + 1}/128`,
            `Endpoint = 10.0.0.${other + 1}:51820`,
            "",
          ].join("\n"),
        });
        await quick(i, "up");
      }
      await a.run(["ping", "-c", "1", "-W", "5", "10.7.0.2"]);
      await b.run(["ping", "-c", "1", "-W", "5", "fd07::1"]);
      const { stdout } = await a.run(["ip", "-d", "link", "show", "wg0"]);
      assert.match(stdout, /tun type tun/);
      await quick(0, "down");
      await until(
        "the end",
        2000,
        async () =>
          (await a.run([
            "sh",
            "-c",
            "ls /run/wireguard/wg0.sock 2>&1; ip link show wg0 2>&1; true",
          ]))
            .stdout.match(/No such file[^]*does not exist/) !== null,
      );
    } finally {
      await lab.close();
      await Deno.remove(prefix, { recursive: true });
    }
  },
);
