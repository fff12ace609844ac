/** Two hosts with two wires between them, of which one can be taken away. */

import type { Host } from "../host.ts";
import type { Lab } from "../lab.ts";
import type { End } from "../link.ts";

export interface Wires {
  readonly a: Host;
  readonly b: Host;
  /** The ends of both wires at `a`: 10.0.0.1 and 10.1.0.1, with 10.0.0.2 and 10.1.0.2 at the other ends. */
  readonly first: End;
  readonly second: End;
}

export async function twoWires(lab: Lab): Promise<Wires> {
  const [a, b] = [await lab.host("a"), await lab.host("b")];
  const wire = async (n: number) => {
    const [end] = await lab.link(a, b, {
      a: { addresses: [`10.${n}.0.1/24`] },
      b: { addresses: [`10.${n}.0.2/24`] },
    });
    return end;
  };
  return { a, b, first: await wire(0), second: await wire(1) };
}
