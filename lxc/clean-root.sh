#!/bin/sh
# A bare Debian 12 without Deno, compilers, -dev packages or an earlier build, and in it what a newcomer does: clone,
# ./run demo, ./run ok, ./run test, install. Proves that ./run brings everything that it needs.
#
#   ./run lab clean-root            all steps, in a root that nobody has used
#   ./run lab clean-root STEP …     only these, in the same kind of root
#   ./run lab clean-root shell      a shell in it
#
# The steps: refuse setup quick demo rootless ok test install node wg. What is committed is cloned, not the working tree.
#
# The base is made once by debootstrap (.build/clean-root/base) and never written to again: each run works in an
# overlay on top of it that goes away at the end, whatever happens. What lets this machine reach its package mirrors
# (CA bundle, proxy settings, configuration of apt, pip and npm) is carried in; nothing else is.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
work=$root/.build/clean-root
base=$work/base
suite=bookworm
mirror=${SHOAL_DEBIAN_MIRROR-} # empty: the one that debootstrap knows

die() {
    printf 'clean-root: %s\n' "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- outside: the root itself

make_base() {
    [ -e "$base/.complete" ] && return 0
    echo "clean-root: debootstrap $suite${mirror:+ from $mirror} (once, about half a minute)"
    rm -rf "$base"
    mkdir -p "$base"
    debootstrap --variant=minbase "$suite" "$base" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
        die "debootstrap failed, see $work/debootstrap.log"
    : >"$base/.complete"
}

# Copies what reaches the package mirrors into $1: files that the environment names, and the tools' configuration.
carry_in() {
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf "$HOME/.npmrc" "$HOME/.config/pip/pip.conf" \
        /etc/ssl/certs/ca-certificates.crt $(carried | sed 's/^[^=]*=//'); do
        [ -f "$file" ] || continue
        case $file in
        "$HOME"/*) target=$1/root/${file#"$HOME"/} ;;
        *) target=$1$file ;;
        esac
        mkdir -p "$(dirname "$target")"
        cp -L "$file" "$target"
    done
    # The package ca-certificates, once something needs it, makes its bundle anew from what lies here.
    if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
        mkdir -p "$1/usr/local/share/ca-certificates"
        cp -L /etc/ssl/certs/ca-certificates.crt "$1/usr/local/share/ca-certificates/carried.crt"
    fi
    mkdir -p "$1/etc/apt/apt.conf.d"
    apt-config dump 2>/dev/null | grep -iE '^Acquire::.*(proxy|cainfo)' >"$1/etc/apt/apt.conf.d/90mirror" || :
}

# The variables by which programs find proxies, certificates and registries.
carried() {
    env | grep -iE '^([a-z_]*_?proxy|[A-Z_]*(CERT|CA_BUNDLE|CAINFO)[A-Z_]*|PIP_[A-Z_]*|npm_config_[a-z_]*|GOPROXY|GOSUMDB|GOFLAGS|CARGO_[A-Z_]*)=[^[:space:]]*$' || :
}

# Runs this script again as the first process of namespaces of its own, on an overlay over the base.
enter() {
    upper=$(mktemp -d "$work/run.XXXXXX")
    trap 'rm -rf "$upper"' EXIT
    trap 'exit 130' INT TERM
    mkdir "$upper/upper" "$upper/work" "$upper/root"
    unshare --mount --pid --fork --kill-child --propagation private -- "$0" --inside "$upper" "$@"
}

inside() {
    upper=$1
    shift
    new=$upper/root
    mount -t overlay overlay -o "lowerdir=$base,upperdir=$upper/upper,workdir=$upper/work" "$new"
    carry_in "$new"
    git clone --quiet --no-local "$root" "$new/root/shoal"
    [ ! -d "$root/../shared/vectors" ] || {
        mkdir -p "$new/root/shared"
        cp -R "$root/../shared/vectors" "$new/root/shared/vectors"
    }
    cp "$0" "$new/root/clean-root.sh"
    mount -t proc proc "$new/proc"
    mount --rbind /sys "$new/sys"
    mount --rbind /dev "$new/dev"
    mount -t tmpfs tmpfs "$new/run"
    # pivot_root, not chroot: a process in a chroot may make no user namespaces, and laboratories want them.
    cd "$new"
    pivot_root . .
    umount -l .
    cd /root
    # shellcheck disable=SC2046 # one word a variable: carried() lets only those through
    exec env -i HOME=/root TERM="${TERM-dumb}" LANG=C.UTF-8 CI="${CI-}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        $(carried) sh /root/clean-root.sh --steps "$@"
}

# ---------------------------------------------------------------- inside: the steps

now_ms() { date +%s%3N; }

# Runs the checkout's own copy for an ordinary user, as that user: as_visitor TASK …
as_visitor() {
    id visitor >/dev/null 2>&1 || useradd --create-home visitor
    rm -rf /home/visitor/shoal
    cp -a /root/shoal /home/visitor/shoal
    chown -R visitor: /home/visitor/shoal
    # With the PATH that Debian gives to users: without the sbin folders.
    (cd /home/visitor/shoal && setpriv --reuid visitor --regid visitor --init-groups \
        env HOME=/home/visitor PATH=/usr/local/bin:/usr/bin:/bin ./run "$@")
}

# A newcomer without root is told the exact line, and nothing is half done.
step_refuse() {
    code=0
    said=$(as_visitor demo 2>&1) || code=$?
    echo "$said"
    [ "$code" -eq 4 ] || { echo "exit code $code, not 4" && return 1; }
    echo "$said" | grep -q 'apt-get install -y .*gcc' || { echo "the line to run is missing" && return 1; }
    [ ! -e /home/visitor/shoal/.build ] || { echo "something was left behind" && return 1; }
}

step_setup() {
    ./run setup demo
}

# A second time: silent, quick, and without a network.
step_quick() {
    ./run setup demo node wg || return 1
    unshare --net ./run setup demo node wg >/tmp/quick 2>&1 || { cat /tmp/quick && return 1; }
    [ ! -s /tmp/quick ] || { echo "not silent:" && cat /tmp/quick && return 1; }
    start=$(now_ms)
    unshare --net ./run setup node
    took=$(($(now_ms) - start))
    echo "nothing missing: $took ms"
    [ "$took" -lt 300 ] || { echo "not below 300 ms" && return 1; }
    unshare --net ./run shoal version
}

step_demo() { ./run demo; }
# The same without root, once root has installed the packages.
step_rootless() { ./run setup demo && as_visitor demo; }
step_ok() { ./run ok; }
step_test() { ./run test; }

# Installs into a prefix, runs from it without the checkout, and leaves nothing behind.
step_install() {
    ./run install /opt/prefix/shoal || return 1
    mv /root/shoal /root/elsewhere
    result=0
    unshare --net /opt/prefix/shoal/bin/shoal version || result=1
    unshare --net /opt/prefix/shoal/bin/shoal-wg --help >/dev/null || result=1
    mv /root/elsewhere /root/shoal
    cd /root/shoal || return 1
    ./run uninstall /opt/prefix/shoal || return 1
    [ ! -e /opt/prefix ] || { echo "left behind:" && find /opt/prefix && return 1; }
    return "$result"
}

# A node says where it is and leaves when asked to.
step_node() {
    ./run node --name first --interface shoal9 --state /tmp/node-state >/tmp/node.log 2>&1 &
    pid=$!
    waited=0
    until ./run shoal status --state /tmp/node-state --json >/tmp/status 2>&1; do
        waited=$((waited + 1))
        if [ "$waited" -ge 50 ] || ! kill -0 "$pid"; then cat /tmp/node.log /tmp/status && return 1; fi
        sleep 0.2
    done
    ip address show dev shoal9 || return 1
    kill -TERM "$pid"
    wait "$pid" || { echo "exit code $?" && cat /tmp/node.log && return 1; }
    cat /tmp/node.log
}

# A WireGuard device that wg drives; it returns when it answers, and goes when its socket goes.
step_wg() {
    ./run setup test || return 1
    ./run wg wg9 || return 1
    wg show wg9 || return 1
    wg genkey | wg set wg9 private-key /dev/stdin listen-port 51899 || return 1
    wg show wg9 | grep 'listening port: 51899' || return 1
    rm /var/run/wireguard/wg9.sock
    sleep 2
    ! ip link show dev wg9 2>/dev/null || { echo "still there" && return 1; }
}

steps() {
    [ $# -gt 0 ] || set -- refuse setup quick demo rootless ok test install node wg
    [ "$1" != shell ] || {
        cd /root/shoal
        exec bash -i
    }
    failed=0
    for step in "$@"; do
        start=$(now_ms)
        echo "---- $step"
        (cd /root/shoal && "step_$step") && mark=ok || mark=FAILED
        [ "$mark" = ok ] || failed=$((failed + 1))
        echo "---- $step: $mark ($(($(now_ms) - start)) ms)"
    done
    [ "$failed" -eq 0 ] || die "$failed of $# steps FAILED"
    echo "clean-root: $# steps passed"
}

case ${1-} in
--inside)
    shift
    inside "$@"
    ;;
--steps)
    shift
    steps "$@"
    ;;
*)
    for step in "$@"; do
        case $step in
        refuse | setup | quick | demo | rootless | ok | test | install | node | wg | shell) ;;
        *)
            printf 'clean-root: no step is called %s; there are: refuse setup quick demo rootless ok test install node wg shell\n' \
                "$(printf '%s' "$step" | LC_ALL=C tr -c 'a-zA-Z0-9_-' '?')" >&2
            exit 2
            ;;
        esac
    done
    [ "$(id -u)" -eq 0 ] || {
        echo "clean-root: making a Debian root takes root: sudo ./run lab clean-root" >&2
        exit 4
    }
    mkdir -p "$work"
    make_base
    enter "$@"
    ;;
esac
