/** Who made a Unix socket, by the kernel's word (sock_diag(7)): what is in /proc/net/unix says nothing of it. */

const AF_UNIX = 1;
const AF_NETLINK = 16;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_DONTWAIT = 0x40;
/** linux/netlink.h, linux/sock_diag.h */
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const HEADER_SIZE = 16;
/** struct unix_diag_req and unix_diag_msg of linux/unix_diag.h */
const REQUEST_SIZE = 24;
const ANSWER_SIZE = 16;
const ALL_STATES = 0xffffffff;
const NO_COOKIE = 0xffffffff;
const UDIAG_SHOW_UID = 0x40;
const UNIX_DIAG_UID = 7;
const ATTRIBUTE_HEADER = 4;
/** Bytes of an answer about one socket, of which a uid alone is asked. */
const ANSWER_MAX = 1024;

const calls = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

/**
 * The user that a Unix socket of this network namespace belongs to, as this user namespace numbers users. Undefined:
 * there is no such socket, or the kernel does not tell (Linux before 5.3, a filter of system calls).
 */
export function unixSocketOwner(inode: number): number | undefined {
  const fd = calls.socket(AF_NETLINK, SOCK_DGRAM_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return undefined;
  try {
    const question = questionOf(inode);
    if (calls.send(fd, question, BigInt(question.length), 0) < 0n) return undefined;
    const answer = new Uint8Array(ANSWER_MAX);
    // The kernel has answered before send returns.
    const length = Number(calls.recv(fd, answer, BigInt(answer.length), MSG_DONTWAIT));
    return length < 0 ? undefined : ownerIn(new DataView(answer.buffer, 0, length), inode);
  } finally {
    calls.close(fd);
  }
}

function questionOf(inode: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(HEADER_SIZE + REQUEST_SIZE));
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST, true);
  view.setUint8(HEADER_SIZE, AF_UNIX);
  view.setUint32(HEADER_SIZE + 4, ALL_STATES, true);
  view.setUint32(HEADER_SIZE + 8, inode, true);
  view.setUint32(HEADER_SIZE + 12, UDIAG_SHOW_UID, true);
  view.setUint32(HEADER_SIZE + 16, NO_COOKIE, true);
  view.setUint32(HEADER_SIZE + 20, NO_COOKIE, true);
  return new Uint8Array(view.buffer);
}

function ownerIn(answer: DataView, inode: number): number | undefined {
  const first = HEADER_SIZE + ANSWER_SIZE;
  if (answer.byteLength < first || answer.getUint16(4, true) !== SOCK_DIAG_BY_FAMILY) {
    return undefined; // An error of the kernel: there is no such socket.
  }
  if (answer.getUint32(HEADER_SIZE + 4, true) !== inode) return undefined;
  for (let at = first; at + ATTRIBUTE_HEADER <= answer.byteLength;) {
    const length = answer.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER) return undefined;
    const isUid = answer.getUint16(at + 2, true) === UNIX_DIAG_UID;
    if (isUid && at + 8 <= answer.byteLength) return answer.getUint32(at + 4, true);
    at += (length + 3) & ~3;
  }
  return undefined;
}
