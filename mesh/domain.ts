/** Where the names of a mesh stand in DNS: `NAME.MESH.internal`. */

/** The top-level domain that is kept for private use (ICANN board resolution 2024.07.29.06). */
const TOP = "internal";

/**
 * Domains below it in which machines look for names by themselves, and believe what they are told: of a mesh that is
 * called so, a member called `metadata` or `host` would give a cloud's machines their keys, or a container its host.
 */
const OTHERS: ReadonlySet<string> = new Set([
  "google", // metadata.google.internal: Compute Engine, "About VM metadata"
  "ec2", // instance-data.ec2.internal, ip-A-B-C-D.ec2.internal: Amazon VPC, "DNS attributes for your VPC" (us-east-1)
  "compute", // ip-A-B-C-D.REGION.compute.internal: the same of the other regions
  "docker", // host., gateway. and kubernetes.docker.internal: Docker Desktop, "Networking"
  "containers", // host.containers.internal: podman-run(1), --add-host
  "lima", // host.lima.internal: Lima, "User-mode network"
  "minikube", // host. and control-plane.minikube.internal: minikube, "Host access"
  "k3d", // host.k3d.internal: k3d, "Networking"
  "rancher-desktop", // host.rancher-desktop.internal: Rancher Desktop, which makes it beside Lima's
  "orb", // host.orb.internal: OrbStack, "Container networking"
]);

/** Whether the domain of a mesh of that name is known to be others'. */
export function isOthersDomain(mesh: string): boolean {
  return OTHERS.has(mesh);
}

/** The domain of a mesh, without a dot behind it. */
export function domainOf(mesh: string): string {
  return `${mesh}.${TOP}`;
}

/**
 * The name that a person means by a text: of `oslo.lyon.internal` in the mesh `lyon`, with a final dot or without, in
 * any case (RFC 1034, section 3.1), that is `oslo`. What is no such name, as a key or an address, stays as it is.
 */
export function nameIn(mesh: string, text: string): string {
  const name = text.toLowerCase().replace(/\.$/, "");
  const label = name.endsWith(`.${domainOf(mesh)}`)
    ? name.slice(0, -domainOf(mesh).length - 1)
    : "";
  return label === "" || label.includes(".") ? text : label;
}
