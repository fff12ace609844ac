/** A new key for this machine: what it gives up with the old one. */
import type { Mesh } from "../membership/mesh.ts";
import { type Now, secondsOf } from "../machine.ts";
import { guestLines } from "./removal.ts";
import { namesOf, otherAdmins } from "./authority.ts";
import type { Planned } from "./plan.ts";

/**
 * What a person must agree to. No warnings where the old key is of no more use: it is no member's, it was revoked, two
 * machines use it, or nobody else is in the mesh, so that nothing and nobody depends on it.
 * @param isPutOut a member has said that the key was revoked
 */
export function renewalOf(
  mesh: Mesh,
  now: Now,
  isPutOut: boolean,
): Pick<Planned, "lines" | "warnings" | "advice"> {
  const { id, name, own, roster, signer, statements } = mesh;
  const isMember = mesh.judge.judge(id, secondsOf(now)).kind === "member";
  const isCopied = own.twin !== undefined ||
    [...statements.pairs()].some(({ signer }) => signer === id);
  const lines = isMember ? guestLines(mesh, id, name) : [];
  if (!isMember || isPutOut || isCopied || roster.size === 0) return { lines, warnings: [] };
  const isAdmin = statements.isAdmin(id);
  const others = otherAdmins(mesh);
  const warnings = [
    `${name} gives up its membership, and its addresses: with the new key it is in the mesh again when an admin ` +
    `approves that; the old key stays listed and keeps the name until an admin says \`shoal revoke ${name}\``,
  ];
  if (isAdmin) {
    warnings.push(
      others.length > 0
        ? `its office as an admin stays behind with the old key (${
          namesOf(Array.from(others, (one) => roster.nameOf(one) || one.slice(0, 16)), "")
        } can go on)`
        : signer.hasMeshKey
        ? "its office as an admin stays behind with the old key: the mesh key, which is on this machine, can approve " +
          "the new one and make it an admin"
        : "this node is the last admin: nobody can approve its new key, nor invite or revoke",
    );
  }
  const advice = ["a machine whose disk is no copy of another's needs no new key"];
  return { lines, warnings, advice };
}
