/** Where the names of a mesh stand in DNS: `NAME.MESH.internal`. */

/** The top-level domain that is kept for private use (ICANN board resolution 2024.07.29.06). */
const TOP = "internal";

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
