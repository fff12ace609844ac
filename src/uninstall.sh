# shellcheck shell=sh
#
# Removes what ./run install put into a prefix. Read (.) by the installed program, which has no checkout any more, and by
# ./run, whose `say` and `die` are taken where they are there already. Everything is in functions, which the shell has
# read before the file is removed.

command -v say >/dev/null 2>&1 || say() { printf 'shoal: %s\n' "$*" >&2; }
command -v die >/dev/null 2>&1 || die() {
    code=$1
    shift
    say "$*"
    exit "$code"
}

# True when $1 does not exist or is a wrapper that install wrote.
ours() {
    [ ! -e "$1" ] || grep -qs '^# written by shoal install$' "$1"
}

# The program of the prefix $1 ends itself: [PREFIX] [--purge] behind it.
uninstall_own() {
    own=$1
    shift
    case ${1-} in
    '' | --purge) ;;
    "$own" | "$own/") shift ;;
    *) die 2 "uninstall takes --purge, or --service with more (shoal uninstall -h); this program is in $own" ;;
    esac
    { [ $# -eq 0 ] || { [ $# -eq 1 ] && [ "$1" = --purge ]; }; } ||
        die 2 "uninstall takes --purge alone, or --service with more (shoal uninstall -h)"
    uninstall_program "$own" "$@"
}

# Removes the program of the prefix $1, with the services that it runs; with --purge also what nodes have left.
# SHOAL_MACHINE is a folder that stands for this machine in a test.
uninstall_program() {
    prefix=$1
    bin=$prefix/bin
    lib=$prefix/lib/shoal
    unit=${SHOAL_MACHINE-}/etc/systemd/system/shoal@.service
    states=${SHOAL_MACHINE-}/var/lib/shoal
    shift
    if [ ! -f "$lib/made" ]; then
        nothing="uninstall: nothing of Shoal's is in $lib; was it installed with another prefix?"
        left=$(find "$states" -mindepth 1 -maxdepth 1 2>/dev/null || :)
        if [ $# -eq 0 ] || [ -z "$left" ]; then
            [ -z "$left" ] ||
                say "what nodes of this machine remember is in $states: --purge removes it, with their keys"
            die 1 "$nothing"
        fi
        # Of services that another prefix runs it is not ours to take.
        [ ! -e "$unit" ] || die 1 "$nothing There are services, so the state stays"
        purge_states
        return
    fi
    [ -w "$prefix/lib" ] || die 4 "uninstall: $prefix is not writable by $(id -un): run it as root"
    # A unit without its program could not even be stopped well.
    if grep -qsF "ExecStart=$bin/shoal " "$unit"; then
        "$bin/shoal" uninstall --service --all "$@" || die $? "uninstall: the services are there still, and so is the program"
    fi
    if [ $# -ne 0 ]; then
        if [ -e "$unit" ]; then say "$states stays: another installation has services here"; else purge_states; fi
    fi
    for name in shoal shoal-wg; do
        if ours "$bin/$name"; then rm -f "$bin/$name"; else say "left alone, not Shoal's: $bin/$name"; fi
    done
    made=$(cat "$lib/made")
    rm -rf "$lib"
    printf '%s\n' "$made" | sed '/^$/d' | while IFS= read -r directory; do
        rmdir "$directory" 2>/dev/null || :
    done
    say "removed $bin/shoal, $bin/shoal-wg and $lib"
}

# Removes the state of every node that no service has any more, and the options of services that are gone.
purge_states() {
    for state in "$states"/*; do
        [ -d "$state" ] || continue
        [ -w "$states" ] || die 4 "uninstall: $states is not writable by $(id -un): run it as root"
        # A running node holds a lock on it.
        [ ! -e "$state/lock" ] || flock --nonblock "$state/lock" true 2>/dev/null ||
            die 1 "uninstall: the node of $state runs: stop it (shoal down), then try again"
    done
    for state in "$states"/*; do
        [ -d "$state" ] || continue
        next=
        # Who never joined is on nobody's list.
        [ ! -e "$state/state.json" ] || next=", with the node's key: on an admin's machine, 'shoal revoke' its name, too"
        rm -rf "$state"
        say "removed $state$next"
    done
    rmdir "$states" 2>/dev/null || :
    rm -f "${SHOAL_MACHINE-}"/etc/shoal/*.conf
    rmdir "${SHOAL_MACHINE-}/etc/shoal" 2>/dev/null || :
}
