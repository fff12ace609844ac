/**
 * A member without scruple beside a storm over whole nodes: while computers crash and networks part,
 * it says whatever is well-formed, sealed and signed with its own good keys. Afterwards no honest
 * member may be cut off: all see each other, at the names and addresses that they had before, packets
 * cross, and no table holds more than it may.
 */
import type { Crypto } from "../crypto.ts";
import { parseToken } from "../door/token.ts";
import { Insider } from "./insider.ts";
import { Mischief } from "./mischief.ts";
import { CALM } from "./network.ts";
import type { Computer } from "./node_lab.ts";
import { befall, disagreement, start, talk } from "./node_storm.ts";
import { village } from "./people.ts";

const STORM = 60_000;
const HEALING = 120_000;
/** Acts of the insider between two strokes of fate. */
const ACTS = 40;
/** Uses of the token that is in its hands. */
const USES = 3;

export interface InsiderStormReport {
  /** The honest ones. */
  readonly nodes: number;
  readonly acts: number;
  /** Virtual ms from the end of all faults until the honest agreed. */
  readonly healed: number;
  /** What one of them has dropped, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** Plays one storm; what went wrong is thrown. */
export function insiderStorm(crypto: Crypto, seed: number): InsiderStormReport {
  const names = ["mole", ...Array.from({ length: 2 + seed % 4 }, (_, i) => `m${i}`)];
  const { lab, founder, others: [mole, ...members] } = village(crypto, names, seed);
  const { world, network } = lab;
  const { random } = world;
  const text = founder.token({ uses: USES });
  lab.run(3_000);
  const token = parseToken(crypto, text);
  if (!mole || !token.ok) throw new Error("sim: there is no mole");
  const honest = [founder, ...members];
  const looks = honest.map(lookOf);
  const inhabited = { computers: honest, network, world };
  const mischief = new Mischief(new Insider(mole), honest, token.value, random);
  const until = world.now + STORM;
  while (world.now < until) {
    for (let i = 0; i < ACTS; i++) mischief.act();
    world.run(random.between(200, 4_000));
    befall(inhabited, random);
  }
  network.heal();
  network.conditions = CALM;
  for (const computer of honest) start(computer);
  const began = world.now;
  const agree = () => world.steps % 20 === 0 && disagreement(honest) === "";
  if (!world.run(HEALING, agree)) {
    throw new Error(`sim: ${HEALING} ms after all faults ended: ${disagreement(honest)}`);
  }
  const healed = world.now - began;
  talk(inhabited);
  for (const [i, computer] of honest.entries()) {
    const look = lookOf(computer);
    if (look !== looks[i]) throw new Error(`sim: ${looks[i]} has become ${look}`);
    const excess = excessOf(computer, honest.length);
    if (excess !== undefined) throw new Error(`sim: ${look}: ${excess}`);
  }
  const drops = founder.node.status(founder.now()).control;
  return { nodes: honest.length, acts: mischief.count, healed, drops };
}

function lookOf(computer: Computer): string {
  const { name, ip4, ip6, standing } = computer.node.status(computer.now()).self;
  return [name, ip4, ip6, standing].join(" ");
}

/** What a node holds beyond what honest members and one token of so many uses can have made. */
function excessOf(computer: Computer, honest: number): string | undefined {
  const { peers } = computer.node.status(computer.now());
  if (peers.length > honest + USES) return `${peers.length} members`;
  const { statements, admissions, members, trusted } = computer.node.snapshot();
  // Each certificate may have been made anew for a free name or address.
  if (statements.length > 8 * (honest + USES)) return `${statements.length} statements`;
  if (admissions.length > honest + USES + 1) return `${admissions.length} admissions`;
  if (members.length > honest + USES) return `${members.length} remembered members`;
  return trusted.length > 0 ? "somebody is trusted" : undefined;
}
