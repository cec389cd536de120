#!/bin/sh
# Runs a command inside the root of interpreters: `enter PROGRAM ARGUMENT…`. The command keeps the
# working directory, environment, descriptors, process id and exit status of this script. The
# mounts are in a namespace that ends with the command's processes. `cargo xtask interpreters`
# wrote this file.
set -eu
root=@ROOT@
if [ "${1-}" != --mounted ]; then
    exec @UNSHARE@ --mount --propagation private "$0" --mounted "$@"
fi
shift

# Shows a file or directory inside the root, at the same path.
show() {
    # A link there would lead out of the root.
    [ ! -L "$root$1" ] || rm "$root$1"
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    elif [ -e "$1" ]; then
        mkdir -p "$root${1%/*}"
        [ -e "$root$1" ] || : >"$root$1"
    else
        return 0
    fi
    @MOUNT@ --rbind "$1" "$root$1"
}

@MOUNT@ --bind "$root" "$root"
for path in @FOLDERS@ /dev /proc /sys /tmp; do
    show "$path"
done
# How pip reaches its registry.
for path in /etc/hosts /etc/resolv.conf /etc/ssl /etc/pip.conf /etc/xdg/pip \
    "${XDG_CONFIG_HOME:-${HOME-}/.config}/pip" "${HOME-}/.pip"; do
    show "$path"
done
# What the environment may name besides.
for path in "${TMPDIR-}" "${PIP_CONFIG_FILE-}" "${PIP_FIND_LINKS-}" "${PIP_CERT-}" \
    "${REQUESTS_CA_BUNDLE-}" "${SSL_CERT_FILE-}" "${SSL_CERT_DIR-}"; do
    case $path in
    /*) show "$path" ;;
    esac
done
[ -d "$root$PWD" ] || show "$PWD"
# Not chroot, after which the kernel refuses user namespaces.
directory=$PWD
cd "$root"
@PIVOT_ROOT@ . mnt
/usr/bin/umount --lazy /mnt
exec /usr/bin/env --chdir="$directory" -- "$@"
