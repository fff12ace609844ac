/** `shoal help trust`: who may do what in a mesh, and what to do when something goes wrong. */
export const TRUST_HELP: readonly string[] = `WHO BELONGS TO A MESH, AND WHO DECIDES

A mesh has two keys of its own. The mesh key lies on the machine that founded the mesh and makes and
unmakes admins. The recovery key exists as 24 words on paper and names another mesh key when that one
is stolen or lost: \`shoal mesh-key words\` shows the words, and \`shoal mesh-key words --erase --yes\`
removes them from the disk.

  member       has a certificate, signed by an admin or by the mesh key
  admin        a member that can invite, approve and revoke; the mesh key has signed its office
  provisional  a token has let it in, and no admin's node has certified it yet. That happens by itself as
               soon as an admin's node hears of it; without that it ends 7 days after the token. It
               cannot let others in.

  guest        a stock WireGuard device that one member serves; an admin has certified it. It is no
               member, and ends with that one

Admins are equals: no admin can do anything to another. A token admits as many machines as it says, and
nothing else; it makes nobody an admin.

DAILY

  A line for the next machine             \`shoal invite\`; --list shows all, --revoke ID ends one
  Machines without a token may ask here   \`shoal door open\`, for ten minutes; status lists them
  Certify one of those, or renew          \`shoal approve NAME\`; a certificate lasts a year
  A phone, or another WireGuard device    \`shoal guest add NAME\`; \`shoal guest remove NAME\` ends it
  Make a member an admin                  \`shoal promote NAME\`, where the mesh key is. Have two:
                                          then losing one machine closes nothing.
  End an admin's office                   \`shoal demote NAME\`; it stays a member
  Expel a member for ever                 \`shoal revoke NAME\`
  End this machine's membership for ever  \`shoal leave\`

WHEN SOMETHING IS WRONG

  A member's machine is stolen     \`shoal revoke NAME\` on any admin's machine.
  An admin's machine is stolen     On the machine with the mesh key: \`shoal revoke NAME --since 2h\`, with
                                   the time since when it is not to be believed. Whom it certified
                                   before is certified anew by you; status lists the others, and
                                   \`shoal approve\` or \`shoal revoke\` settles each.
  The founder's machine is stolen  On any other member's machine, with the words on paper:
                                   \`shoal recover --without NAME --since 2h\`. It shows what it
                                   would do; --yes does it. The mesh keeps its id and addresses.
                                   \`--keep NAME\` lets an admin go on whom the thief has demoted
                                   since then.
  The founder's machine is lost    The other admins go on. For new admins: \`shoal recover\`.
  A disk was copied                status of every member names the key and both places. On the copy:
                                   \`shoal identity renew\`, then on an admin's machine
                                   \`shoal approve KEY --name NAME\`.
  A phone is lost                  \`shoal guest remove NAME\` on any admin's machine.
  A token got into wrong hands     \`shoal invite --list\`, \`shoal invite --revoke ID\`, and
                                   \`shoal revoke\` those that you do not know.

Commands that would cut off this machine or leave no admin say so and do nothing without --yes.`
  .split("\n");
