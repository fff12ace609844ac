/** The library core/ as this process has loaded it: one a process, never unloaded. */
import { fileURLToPath } from "node:url";
import { ABI_VERSION, Offload, symbols } from "./header.ts";

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];

export interface Core {
  readonly calls: Calls;
  /** Offload name by bit, in the order of the bits. */
  readonly offloads: ReadonlyMap<number, string>;
  /** Counters of a device, in the order in which core writes them. */
  readonly counters: readonly string[];
  /** AEAD back-ends of this build. */
  readonly aeads: readonly string[];
}

/** Where `make -C core lib` puts it, unless SHOAL_CORE names another build (a sanitizer's). */
export function corePath(): string {
  return Deno.env.get("SHOAL_CORE") ??
    fileURLToPath(new URL("../.build/core/release/libshoal.so", import.meta.url));
}

/**
 * Loads the library and learns its names.
 * @throws {Error} one line when the file is missing, is no such library, or has another ABI version.
 */
export function loadCore(path: string = corePath()): Core {
  let calls: Calls;
  try {
    requireVersion(path);
    calls = Deno.dlopen(path, symbols).symbols;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      reason.startsWith("core: ")
        ? reason
        : `core: cannot load ${path} (${reason}): build it with 'make -C core lib'`,
    );
  }
  return {
    calls,
    offloads: offloadNames(calls),
    counters: namesFrom(calls.shoal_counter_name),
    aeads: namesFrom(calls.shoal_aead_name),
  };
}

/** Asked before the whole table is bound: a library of another version may lack a symbol of ours. */
function requireVersion(path: string): void {
  const { shoal_abi_version } = symbols;
  const version = Deno.dlopen(path, { shoal_abi_version }).symbols.shoal_abi_version();
  if (version !== ABI_VERSION) {
    throw new Error(
      `core: ${path} has ABI version ${version}, this program needs ${ABI_VERSION}: ` +
        "build it again with 'make -C core lib'",
    );
  }
}

function cString(pointer: Deno.PointerValue): string | undefined {
  return pointer === null ? undefined : Deno.UnsafePointerView.getCString(pointer);
}

function namesFrom(call: (i: number) => Deno.PointerValue): string[] {
  const names: string[] = [];
  for (let name = cString(call(0)); name !== undefined; name = cString(call(names.length))) {
    names.push(name);
  }
  return names;
}

function offloadNames(calls: Calls): Map<number, string> {
  const names = new Map<number, string>();
  for (const bit of Object.values(Offload)) {
    names.set(bit, cString(calls.shoal_offload_name(bit)) ?? `offload-${bit}`);
  }
  return names;
}
