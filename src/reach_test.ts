import assert from "node:assert/strict";
import { reachOf } from "./reach.ts";

Deno.test("a line that leads to private addresses alone says so, and what to do", () => {
  for (
    const seed of [
      "10.1.2.3:51820",
      "192.168.0.1:1",
      "100.64.0.1:9",
      "[fd00::1]:51820",
      "[fe80::1%2]:51820",
    ]
  ) {
    assert.match(reachOf([seed, "172.31.0.1:51820"]), /same network reach.*--seed HOST:PORT/, seed);
  }
});

Deno.test("a line that leads to loopback alone says that only this machine reaches it", () => {
  for (
    const seed of [
      "127.0.0.1:51820",
      "127.9.9.9:1",
      "[::1]:51820",
      "localhost:51820",
      "a.LOCALHOST.:9",
    ]
  ) {
    assert.match(reachOf([seed]), /only this machine itself reaches.*--seed HOST:PORT/, seed);
    assert.match(reachOf([seed, "10.1.2.3:51820"]), /machines of the same network reach/, seed);
    assert.equal(reachOf([seed, "lyon.example.org:51820"]), "", seed);
  }
});

Deno.test("a line that leads to a public address, or to a name, may be reached from anywhere", () => {
  for (
    const seed of [
      "198.51.100.1:51820",
      "[2001:db8::1]:51820",
      "lyon.example.org:51820",
      "172.32.0.1:5",
    ]
  ) {
    assert.equal(reachOf(["10.1.2.3:51820", seed]), "", seed);
  }
  assert.equal(reachOf([]), "");
});
