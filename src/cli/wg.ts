/** `wg`: its own folder holds it, since it is a program of its own. */
export { wg } from "../wg/command.ts";
