import assert from "node:assert/strict";
import { SLICE_MS, Turns, type Work } from "./turns.ts";

/** Turns over a clock of its own, one millisecond a step, whose callbacks are run by hand. */
class World {
  now = 0;
  readonly done: string[] = [];
  readonly turns: Turns;
  #pending: (() => void)[] = [];

  constructor() {
    this.turns = new Turns(() => this.now, (turn) => void this.#pending.push(turn));
  }

  *work(name: string, steps: number): Work<string> {
    for (let i = 0; i < steps; i++) {
      this.now++;
      this.done.push(name);
      yield;
    }
    return name;
  }

  /** @returns the steps of one turn, or undefined: nothing waits for one */
  async turn(): Promise<string | undefined> {
    const [turn, ...others] = this.#pending.splice(0);
    if (turn === undefined) return undefined;
    assert.deepEqual(others, [], "one turn at a time");
    this.done.length = 0;
    turn();
    await Promise.resolve();
    return this.done.join("");
  }
}

Deno.test("long pieces of work go round in slices, and a short one is done in its first", async () => {
  const world = new World();
  const a = world.turns.run(world.work("a", 20));
  const b = world.turns.run(world.work("b", 3));
  const c = world.turns.run(world.work("c", 10));
  assert.equal(SLICE_MS, 8);
  assert.equal(await world.turn(), "aaaaaaaa");
  assert.equal(await world.turn(), "bbbccccc");
  assert.equal(await world.turn(), "aaaaaaaa");
  assert.equal(await world.turn(), "cccccaaa");
  assert.equal(await world.turn(), "a");
  assert.equal(await world.turn(), undefined);
  assert.deepEqual(await Promise.all([a, b, c]), ["a", "b", "c"]);
});

Deno.test("work that fails is told to who asked for it, and the rest goes on", async () => {
  const world = new World();
  const broken = world.turns.run((function* (): Work<void> {
    yield;
    throw new RangeError("a defect");
  })());
  const whole = world.turns.run(world.work("a", 2));
  const told = assert.rejects(broken, /a defect/);
  await world.turn();
  await told;
  assert.equal(await whole, "a");
});

Deno.test("a stop ends all work with its finally blocks, and begins none", async () => {
  const world = new World();
  let ended = 0;
  void world.turns.run((function* (): Work<void> {
    try {
      yield* world.work("a", 20);
    } finally {
      ended++;
    }
  })());
  await world.turn();
  world.turns.stop();
  assert.equal(ended, 1);
  void world.turns.run(world.work("b", 1));
  await world.turn();
  assert.deepEqual(world.done, [], "neither the old nor the new work had a step");
});
