/** The table of header.ts against the compiler's reading of core/shoal.h: drift fails here. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import * as table from "./header.ts";
import type { Struct } from "./layout.ts";

const HEADER = fileURLToPath(new URL("../core/shoal.h", import.meta.url));

const structs: Record<string, Struct> = {
  shoal_error: table.ErrorStruct,
  shoal_address: table.AddressStruct,
  shoal_endpoint: table.EndpointStruct,
  shoal_prefix: table.PrefixStruct,
  shoal_device_config: table.DeviceConfigStruct,
  shoal_device_info: table.DeviceInfoStruct,
  shoal_session: table.SessionStruct,
  shoal_peer_facts: table.PeerFactsStruct,
  shoal_mail: table.MailStruct,
};

/** Enum of the header → prefix of its constants → our object. */
const enums: Record<string, readonly [prefix: string, ours: Readonly<Record<string, number>>]> = {
  shoal_status: ["SHOAL_", table.Status],
  shoal_family: ["SHOAL_AF_", table.Family],
  shoal_offload: ["SHOAL_OFFLOAD_", table.Offload],
  shoal_device_flags: ["SHOAL_DEVICE_", table.DeviceFlag],
  shoal_edge: ["SHOAL_EDGE_", table.EdgeBit],
  shoal_keepalive_flags: ["SHOAL_KEEPALIVE_", table.KeepaliveFlag],
  shoal_suite: ["SHOAL_SUITE_", table.Suite],
  shoal_role: ["SHOAL_ROLE_", table.Role],
  shoal_mail_kind: ["SHOAL_MAIL_", table.MailKind],
  shoal_rekey_why: ["SHOAL_REKEY_", table.RekeyWhy],
  shoal_link_news: ["SHOAL_LINK_", table.LinkNews],
};

const defines: Record<string, number> = {
  SHOAL_ABI_VERSION: table.ABI_VERSION,
  ...Object.fromEntries(
    Object.entries(table.Limit).map(([name, value]) => [`SHOAL_${name}`, value]),
  ),
};

function headerText(): string {
  return Deno.readTextFileSync(HEADER).replace(/\/\*[\s\S]*?\*\//g, " ");
}

/** A C program that prints what the compiler knows, one `name value` a line. */
function program(): string {
  const lines: string[] = [];
  const print = (name: string, expression: string) =>
    lines.push(`printf("%s %lld\\n", "${name}", (long long)(${expression}));`);
  for (const [name, layout] of Object.entries(structs)) {
    print(name, `sizeof(struct ${name})`);
    for (const field of Object.keys(layout.fields)) {
      print(`${name}.${field}`, `offsetof(struct ${name}, ${field})`);
      print(`${name}.${field}:size`, `sizeof(((struct ${name} *)0)->${field})`);
    }
  }
  for (const [prefix, ours] of Object.values(enums)) {
    for (const name of Object.keys(ours)) print(prefix + name, prefix + name);
  }
  for (const name of Object.keys(defines)) print(name, name);
  return `#include <stdio.h>\n#include "${HEADER}"\nint main(void) {\n${lines.join("\n")}\n}\n`;
}

async function compiledFacts(): Promise<Map<string, number>> {
  const folder = await Deno.makeTempDir({ prefix: "shoal-header-" });
  try {
    await Deno.writeTextFile(`${folder}/facts.c`, program());
    const compile = await new Deno.Command("cc", {
      args: ["-std=gnu11", "-o", `${folder}/facts`, `${folder}/facts.c`],
    }).output();
    assert.ok(compile.success, new TextDecoder().decode(compile.stderr));
    const run = await new Deno.Command(`${folder}/facts`).output();
    const lines = new TextDecoder().decode(run.stdout).trim().split("\n");
    return new Map(lines.map((line): [string, number] => {
      const [name = "", value] = line.split(" ");
      return [name, Number(value)];
    }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("sizes, offsets and constants are those that the compiler finds in core/shoal.h", async () => {
  const compiled = await compiledFacts();
  const ours = new Map<string, number>();
  for (const [name, layout] of Object.entries(structs)) {
    ours.set(name, layout.size);
    for (const [field, type] of Object.entries(layout.fields)) {
      ours.set(`${name}.${field}`, layout.offset[field] ?? NaN);
      ours.set(`${name}.${field}:size`, type.size);
    }
  }
  for (const [prefix, values] of Object.values(enums)) {
    for (const [name, value] of Object.entries(values)) ours.set(prefix + name, value);
  }
  for (const [name, value] of Object.entries(defines)) ours.set(name, value);
  assert.deepEqual(ours, compiled);
});

Deno.test("no struct, field or constant of core/shoal.h is missing from the table", () => {
  const text = headerText();
  const seen = { structs: 0, constants: 0 };
  for (const [, name = "", body = ""] of text.matchAll(/\nstruct (\w+) \{([^}]*)\};/g)) {
    const fields = [...body.matchAll(/(\w+)(?:\[\w+\])?;/g)].map(([, field]) => field);
    assert.deepEqual(Object.keys(structs[name]?.fields ?? {}), fields, `struct ${name}`);
    seen.structs++;
  }
  for (const [, name = "", body = ""] of text.matchAll(/\nenum (\w+) \{([^}]*)\};/g)) {
    const [prefix, ours] = enums[name] ?? ["", {}];
    const names = [...body.matchAll(/(SHOAL_\w+) =/g)].map(([, constant]) => constant);
    assert.deepEqual(Object.keys(ours).map((constant) => prefix + constant), names, `enum ${name}`);
    seen.constants += names.length;
  }
  const defined = [...text.matchAll(/\n#define (SHOAL_\w+) [\d]/g)].map(([, name]) => name);
  assert.deepEqual(Object.keys(defines).sort(), defined.sort());
  assert.equal(seen.structs, Object.keys(structs).length);
  assert.ok(seen.constants > 40, "the enums of the header were found");
});

/** The FFI type of one C parameter or result. */
function ffiType(declaration: string): string {
  if (declaration.includes("*")) return "buffer";
  if (/\bshoal_(device|peer)_t\b/.test(declaration)) return "u64";
  const [, sign, bits] = /\b(u?)int(\d+)_t\b/.exec(declaration) ?? [];
  return `${sign === "u" ? "u" : "i"}${bits}`;
}

Deno.test("every call of core/shoal.h is in the table with its parameters and result", () => {
  const declared = new Map<string, unknown>();
  const calls = /SHOAL_API ((?:const )?\w+ ?\*?)\s*(shoal_\w+)\(([^)]*)\);/g;
  for (const [, result = "", name = "", list = ""] of headerText().matchAll(calls)) {
    const parameters = list.trim() === "void" ? [] : list.split(",").map(ffiType);
    declared.set(name, { parameters, result: result.includes("*") ? "pointer" : ffiType(result) });
  }
  assert.deepEqual(new Map<string, unknown>(Object.entries(table.symbols)), declared);
});
