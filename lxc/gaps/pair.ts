/** Two WireGuard devices of ours that are configured for each other: 10.7.0.1 and 10.7.0.2 inside. */

import { Device, type DeviceOptions, makeKeys } from "../device.ts";
import type { Host } from "../host.ts";
import { shoal } from "../peers.ts";

export const PORT = 51820;

/** Each host's place outside is 10.0.0.1 and 10.0.0.2, in this order. @returns what each was configured with */
export async function devicePair(hosts: readonly [Host, Host]): Promise<DeviceOptions[]> {
  const implementation = await shoal();
  const keys = [await makeKeys(hosts[0]), await makeKeys(hosts[1])] as const;
  const configured: DeviceOptions[] = [];
  for (const [i, own, other] of [[0, keys[0], keys[1]], [1, keys[1], keys[0]]] as const) {
    const device = await Device.start(hosts[i], implementation);
    const options = {
      privateKey: own.privateKey,
      port: PORT,
      addresses: [`10.7.0.${i + 1}/32`],
      peers: [{
        publicKey: other.publicKey,
        allowedIps: [`10.7.0.${2 - i}/32`],
        endpoint: `10.0.0.${2 - i}:${PORT}`,
      }],
    };
    await device.configure(options);
    configured.push(options);
  }
  return configured;
}
