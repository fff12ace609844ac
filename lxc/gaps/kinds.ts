/** Every kind of disturbance that is measured, and what is asked of its median. */

import {
  addressesAreFlushed,
  linkIsSetDown,
  mtuIsChanged,
  routeIsDeleted,
  rulesAreFlushed,
} from "./interference.ts";
import type { Kind } from "./kind.ts";
import { trainsComeBack } from "./narrow_path.ts";
import { restartAfter } from "./restart.ts";
import { routeMovesUnderDevices, routeMovesUnderNodes } from "./route_moves.ts";
import { samePeersAgain } from "./syncconf.ts";

const MOVES =
  "the longest time between two answers to a ping every 20 ms, while an uplink loses its carrier, its address stays and " +
  "the route to the other end goes by another wire";
const RESTARTS =
  "a mesh of three; one that did not found it pings another, which is ended, is away for a second and starts again: the " +
  "longest time between two answers, less the time from the signal until the new node answers `status` (0: traffic went on before that)";
const PUT_BACK = "from the command's start until ip(8) shows it as before";
const NAMED = "from the command's start until `health` of `status` names it";

export const KINDS: readonly Kind[] = [
  {
    key: "route-wg",
    title: "the route moves, the address stays, `./run wg`",
    unit: "ms",
    most: 1_000,
    method: MOVES,
    measure: routeMovesUnderDevices,
  },
  {
    key: "route-mesh",
    title: "the route moves, the address stays, mesh",
    unit: "ms",
    most: 1_000,
    method: MOVES,
    measure: routeMovesUnderNodes,
  },
  {
    key: "restart-kill",
    title: "a peer restarts after SIGKILL, beyond the restart",
    unit: "ms",
    most: 1_000,
    method: RESTARTS,
    measure: () => restartAfter("SIGKILL"),
  },
  {
    key: "restart-term",
    title: "a peer restarts after SIGTERM, beyond the restart",
    unit: "ms",
    most: 1_000,
    method: RESTARTS,
    measure: () => restartAfter("SIGTERM"),
  },
  {
    key: "mesh-route",
    title: "another program deletes the mesh route",
    unit: "ms",
    most: 2_000,
    method: PUT_BACK,
    measure: routeIsDeleted,
  },
  {
    key: "addresses",
    title: "another program flushes the addresses",
    unit: "ms",
    most: 2_000,
    method: PUT_BACK,
    measure: addressesAreFlushed,
  },
  {
    key: "mtu",
    title: "another program changes the MTU",
    unit: "ms",
    most: 2_000,
    method: NAMED,
    measure: mtuIsChanged,
  },
  {
    key: "link-down",
    title: "another program sets the link down",
    unit: "ms",
    most: 2_000,
    method: NAMED,
    measure: linkIsSetDown,
  },
  {
    key: "ruleset",
    title: "another program flushes every table of nftables",
    unit: "ms",
    most: 2_000,
    method:
      "Shoal has no table of its own, so that traffic is to go on: the longest time between " +
      "two answers to a ping every 20 ms",
    measure: rulesAreFlushed,
  },
  {
    key: "trains",
    title: "GSO comes back after a narrow path",
    unit: "ms",
    most: 2_000,
    method:
      "a stream over a path whose MTU is 1280 for three seconds: from its recovery until the mean packet that the " +
      "interface sends is larger than two full ones. A path that refused is tried again after one second, so that the " +
      "asked time is that and a second for the stream and for looking",
    measure: trainsComeBack,
  },
  {
    key: "syncconf",
    title: "`wg syncconf` of the same file under load",
    unit: "packets",
    most: 0,
    method:
      "datagrams of a UDP stream of 20 Mbit/s that did not come out of the tunnel, while both ends are given the " +
      "same file twenty times in four seconds",
    measure: samePeersAgain,
  },
];
