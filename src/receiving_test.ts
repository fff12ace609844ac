import assert from "node:assert/strict";
import { receivingText } from "./receiving.ts";

Deno.test("T29: what receives is named, and why it is not what was asked for", () => {
  assert.equal(receivingText({ io: "poll", io_error: "" }), "poll");
  assert.equal(receivingText({ io: "uring", io_error: "" }), "uring");
  assert.equal(
    receivingText({ io: "poll", io_error: "EPERM" }),
    "io: poll, because io_uring was refused (EPERM)",
  );
});
