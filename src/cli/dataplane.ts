/** The switches of the data plane: the same for a mesh node and a WireGuard device. */
export const DATAPLANE_OPTIONS = {
  workers: { type: "string" },
  aead: { type: "string" },
  io: { type: "string" },
  without: { type: "string" },
} as const;

export const DATAPLANE_HELP = `data plane
  --workers N        worker threads, up to 64, each with peers of its own (default: half of the
                     processor cores, at least one and at most 8)
  --aead NAME        openssl, libsodium, ipsec-mb, shoal-avx512 or shoal-avx2 (default: the fastest
                     ones for one packet and for many, measured at start)
  --io NAME          poll or uring (io_uring, where the kernel grants it; default: poll)
  --without A,B      switch off: tun-tso tun-uso udp-gso udp-gro (offloads), queue-control (a packet
                     of another flow does not wait behind a stream), connected-sockets (of the
                     busiest peers), or lanes (several sessions with a member, for its flows)`;
