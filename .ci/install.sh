# shellcheck shell=sh disable=SC2154 # root, deno, core and the functions come from run, which reads this file
#
# What ./run install [PREFIX] puts where:
#
#   PREFIX/bin/shoal       the command line
#   PREFIX/bin/shoal-wg    takes an interface name, as WG_QUICK_USERSPACE_IMPLEMENTATION wants
#   PREFIX/lib/shoal/      Deno, sources without tests, the package cache, the core library
#
# and nothing else; ./run uninstall [PREFIX], and shoal uninstall of that prefix, remove exactly that. With --service … behind the prefix, `shoal install
# --service …` follows (src/service/installer.ts says what it makes); uninstall ends the services that this program runs.

# shellcheck source=src/uninstall.sh
. "$root/src/uninstall.sh"

# Runs the task $1, install or uninstall, with the arguments behind it: [PREFIX] [OPTION …].
installation() {
    task=$1
    shift
    prefix=/usr/local
    case ${1-} in
    --*) ;;
    *)
        [ $# -eq 0 ] || {
            prefix=$1
            shift
        }
        ;;
    esac
    case $task:${1-} in
    install: | install:--service | uninstall: | uninstall:--purge) ;;
    install:*) die 2 "install takes a prefix and then --service …, not $1" ;;
    *) die 2 "uninstall takes a prefix and then --purge, not $1" ;;
    esac
    "$task" "$prefix" "$@"
}

uninstall() {
    installed_paths "$1"
    shift
    uninstall_program "$prefix" "$@"
}

# Sets prefix, lib and bin from $1.
installed_paths() {
    [ -n "$1" ] || die 2 "install: the prefix is empty; leave it out for /usr/local"
    case $1 in
    /*) prefix=${1%/} ;;
    -*) die 2 "install takes a prefix and then --service …, not $1" ;;
    *) prefix=$PWD/${1%/} ;;
    esac
    case $prefix in
    *\'*) die 2 "install: a prefix with an apostrophe cannot be written into a shell script: $prefix" ;;
    esac
    bin=$prefix/bin
    lib=$prefix/lib/shoal
}

install() {
    installed_paths "$1"
    shift
    for name in shoal shoal-wg; do
        ours "$bin/$name" || die 1 "install: $bin/$name exists and is not Shoal's: remove it or choose another prefix"
    done
    [ ! -e "$lib" ] || [ -f "$lib/made" ] ||
        die 1 "install: $lib exists and is not Shoal's: remove it or choose another prefix"
    need install
    # What is wrong with the service that is asked for is said before anything is put anywhere.
    [ $# -eq 0 ] || (SHOAL_TRIAL=1 && export SHOAL_TRIAL && program "$node_rights" src/main.ts install "$@") || exit $?

    # The directories that this makes, deepest first: what uninstall removes when they are empty then.
    made=
    for directory in "$prefix/lib" "$bin"; do
        [ -d "$directory" ] || made="$made$directory
"
    done
    directory=$prefix
    while [ -n "$directory" ] && [ ! -d "$directory" ]; do
        made="$made$directory
"
        directory=${directory%/*}
    done
    mkdir -p "$bin" "$prefix/lib" 2>/dev/null || :
    { [ -w "$bin" ] && [ -w "$prefix/lib" ]; } ||
        die 4 "install: $prefix is not writable by $(id -un): run it as root, or give a prefix of your own"
    # An installation that is being replaced has noted already what it made.
    [ ! -f "$lib/made" ] || made=$(cat "$lib/made")

    # Built beside and renamed into place: a running node keeps the files that it has open.
    new=$prefix/lib/.shoal.new.$$
    old=$prefix/lib/.shoal.old.$$
    trap 'rm -rf "$new"' EXIT
    mkdir "$new" "$new/core"
    printf '%s\n' "$made" | sed '/^$/d' >"$new/made"
    cp -L "$deno" "$new/deno"
    cp "$core" "$new/libshoal.so"
    cp "$root/core/shoal.h" "$new/core/"
    cp "$root/deno.json" "$root/deno.lock" "$root/LICENSE" "$new/"
    [ ! -f "$root/mod.ts" ] || cp "$root/mod.ts" "$new/"
    (cd "$root" && find src ffi mesh -type f ! -name '*_test.ts' -exec cp --parents -t "$new" {} +)
    mkdir "$new/cache"
    cp -R "$DENO_DIR/npm" "$new/cache/npm"
    chmod -R u+rwX,go+rX,go-w "$new"

    [ ! -e "$lib" ] || mv "$lib" "$old"
    mv "$new" "$lib"
    trap - EXIT
    rm -rf "$old"
    wrapper shoal "$node_rights\$more" '' "more=
case \${1-} in
wg) shift; exec '$bin/shoal-wg' \"\$@\" ;;
node | up) . '$lib/src/token.sh' ;;
install | uninstall) more=' $service_rights' PATH=\$PATH:/usr/sbin:/sbin ;;
esac
# Removes the program itself; of a service, or asked for help, the program answers.
case \${1-}:\" \$* \" in
uninstall:*' --service '* | uninstall:*' --all '* | uninstall:*' -h '* | uninstall:*' --help '*) ;;
uninstall:*)
    shift
    . '$lib/src/uninstall.sh'
    uninstall_own '$prefix' \"\$@\"
    exit
    ;;
esac"
    wrapper shoal-wg "$wg_rights" wg ''
    say "installed $bin/shoal and $bin/shoal-wg; everything else is in $lib"
    [ $# -eq 0 ] || exec "$bin/shoal" install "$@"
}

# Writes PREFIX/bin/$1: Deno with rights $2 on src/main.ts, with $3 before the arguments; first of all the lines $4.
wrapper() {
    cat >"$bin/.$1.new" <<WRAPPER
#!/bin/sh
# written by shoal install
$4
export DENO_DIR='$lib/cache' DENO_NO_UPDATE_CHECK=1 SHOAL_PROGRAM=shoal SHOAL_PREFIX='$prefix'
export SHOAL_CORE="\${SHOAL_CORE:-$lib/libshoal.so}"
exec '$lib/deno' run --quiet --no-prompt --cached-only --config '$lib/deno.json' \\
    $2 '$lib/src/main.ts' ${3:+$3 }"\$@"
WRAPPER
    chmod 755 "$bin/.$1.new"
    mv "$bin/.$1.new" "$bin/$1"
}
