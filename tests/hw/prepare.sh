#!/bin/bash
# prepare.sh - a Debian kernel to test sensord in: bin/build/hw/kernel, made once per kernel version and kept.
#
#   tests/hw/prepare.sh
#
# kernel/vmlinux     the raw kernel of linux-image-amd64. It boots by PVH, which saves the seconds that unpacking a bzImage
#                    takes an emulated processor
# kernel/modules/    the modules that the guests load
# kernel/load/NAME   what to load for module NAME, in order
# kernel/version     what it was made of
#
# Debian ships neither gpio-sim, the hrtimer trigger nor the dummy IIO device; they are built here from linux-source against
# linux-headers. Nothing else of the packages is kept. Status: 0 ready, 77 the packages cannot be had here (another system,
# no network), 1 anything else; the last line of stderr says why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C

cache=bin/build/hw
new=$PWD/$cache/kernel.new
shipped='i2c-dev i2c-stub inv-mpu6050-i2c bmp280-i2c uhid hid-cp2112'
built='gpio-sim iio-trig-hrtimer iio_dummy'

say() { printf 'hw: %s\n' "$*" >&2; }

cannot_be_had() {
    say "$*"
    exit 77
}

broken() {
    say "$*"
    exit 1
}

# The Debian kernel there is for this machine: its release ("6.1.0-56-amd64") and package version.
find_kernel() {
    release=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: linux-image-//p' | head -n 1)
    [ -n "$release" ] || return 1
    version=$(apt-cache policy "linux-image-$release" | sed -n 's/^ *Candidate: *//p')
    source_package=linux-source-$(cut -d. -f1,2 <<<"$release")
    wanted="$release $version $recipe"
}

# Nothing to do, found out in no time: made by this script, no newer lists of packages, and the programs are there.
is_ready() {
    local release version made_by
    read -r release version made_by 2>/dev/null <"$cache/kernel/version" || return 1
    [ "$made_by" = "$recipe" ] && [ ! /var/lib/apt/lists -nt "$cache/kernel/version" ] &&
        command -v qemu-system-x86_64 busybox cpio jq >/dev/null
}

fetch() { # fetch PACKAGE: its file into the folder $new/debs
    (cd "$new/debs" && apt-get -qq download "$1" >"$1.log" 2>&1) && return
    sed 's/^/    /' "$new/debs/$1.log" >&2
    say "cannot download the package $1"
    return 1
}

fetch_both() {
    local image status=0
    fetch "linux-image-$release=$version" &
    image=$!
    fetch "$source_package=$version" || status=1
    wait "$image" && [ "$status" = 0 ]
}

# Old lists of packages name files that are gone. Once more with new ones, which may name a newer kernel.
start_again() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    [ -z "${PSA_HW_UPDATED:-}" ] || return 1
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return 1
    rm -rf "$new"
    "${as_root[@]}" apt-get -qq update && PSA_HW_UPDATED=1 exec tests/hw/prepare.sh
}

# The kernel without the wrapper that unpacks itself: wherever in the image a compressed stream begins that holds an ELF file.
unpack_kernel() { # unpack_kernel VMLINUZ
    local magic tool at
    while read -r magic tool; do
        command -v "${tool%% *}" >/dev/null || continue
        while IFS=: read -r at _; do
            tail -c +$((at + 1)) "$1" | $tool >"$new/vmlinux" 2>/dev/null || true # what follows the stream is no stream
            readelf -h "$new/vmlinux" >/dev/null 2>&1 && return
        done < <(grep -abo -P "$magic" "$1")
    done <<'STREAMS'
\xfd7zXZ\x00 xz -dc
\x28\xb5\x2f\xfd zstd -dc
\x1f\x8b\x08 gzip -dc
STREAMS
    broken "no kernel found in ${1##*/}: compressed in a way that is new here?"
}

# The sources of the modules that Debian does not ship, and no more of the whole tree than it takes to find them.
unpack_sources() { # unpack_sources DEB
    local tree=$source_package path
    local paths=(drivers/gpio/gpio-sim.c drivers/gpio/gpiolib.h kernel/irq/irq_sim.c drivers/iio/trigger/iio-trig-hrtimer.c
        drivers/iio/industrialio-configfs.c drivers/iio/industrialio-sw-trigger.c drivers/iio/industrialio-sw-device.c
        drivers/iio/dummy/iio_dummy_evgen.c drivers/iio/dummy/iio_dummy_evgen.h drivers/iio/dummy/iio_simple_dummy.c
        drivers/iio/dummy/iio_simple_dummy.h drivers/iio/dummy/iio_simple_dummy_buffer.c
        drivers/iio/dummy/iio_simple_dummy_events.c)

    mkdir -p "$new/build"
    # --occurrence ends tar when all are found, and then what feeds it dies of SIGPIPE.
    (set +o pipefail; dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -xO "./usr/src/$tree.tar.xz" 2>/dev/null | xz -dcq 2>/dev/null |
        tar -x --occurrence=1 -C "$new/build" --transform 's|.*/||' "${paths[@]/#/$tree/}") ||
        broken "some of the files that are needed are not in ${1##*/}"
    # irq_to_desc() is not exported to modules; generic_handle_irq() is, and does the same here.
    sed -i -e 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' \
        -e '0,/#include/s//#include <linux\/module.h>\n#include/' "$new/build/irq_sim.c"
    echo 'MODULE_LICENSE("GPL");' >>"$new/build/irq_sim.c"
    for path in "${paths[@]}"; do [ -e "$new/build/${path##*/}" ] || broken "no $path in ${1##*/}"; done
}

build_modules() {
    cat >"$new/build/Kbuild" <<'KBUILD'
obj-m += irq_sim.o gpio-sim.o industrialio-configfs.o industrialio-sw-trigger.o industrialio-sw-device.o
obj-m += iio-trig-hrtimer.o iio_dummy.o iio_dummy_evgen.o
iio_dummy-y := iio_simple_dummy.o iio_simple_dummy_events.o iio_simple_dummy_buffer.o
ccflags-y += -DCONFIG_IIO_SIMPLE_DUMMY_EVENTS=1 -DCONFIG_IIO_SIMPLE_DUMMY_BUFFER=1 -DCONFIG_IRQ_SIM=1
KBUILD
    if ! env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -j"$(nproc)" -C "/lib/modules/$release/build" M="$new/build" modules >"$new/build.log" 2>&1; then
        tail -n 40 "$new/build.log" >&2
        broken "the modules cannot be built for $release"
    fi
    mkdir -p "$new/image/lib/modules/$release/extra"
    strip -g "$new"/build/*.ko
    mv "$new"/build/*.ko "$new/image/lib/modules/$release/extra/"
}

# The modules with all they need, and the order to load them in.
keep_modules() {
    local module file name
    mkdir -p "$new/modules" "$new/load"
    /sbin/depmod -b "$new/image" "$release"
    for module in $shipped $built; do
        /sbin/modprobe -d "$new/image" -S "$release" --show-depends "$module" >"$new/depends" 2>&1 ||
            broken "kernel $release has no module $module: $(cat "$new/depends")"
        while read -r _ file; do
            name=$(basename "$file" | sed 's/\.[gxz]*$//; s/\.zst$//')
            echo "$name" >>"$new/load/$module"
            [ ! -e "$new/modules/$name" ] || continue
            case $file in
            *.xz) xz -dc "$file" >"$new/modules/$name" ;;
            *.zst) zstd -qdc "$file" >"$new/modules/$name" ;;
            *) cp "$file" "$new/modules/$name" ;;
            esac
        done < <(grep '^insmod ' "$new/depends")
    done
}

if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then cannot_be_had 'the kernel comes from Debian packages, and this is no Debian'; fi
[ "$(dpkg --print-architecture)" = amd64 ] || cannot_be_had "the guests are amd64, and this is $(dpkg --print-architecture)"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
recipe=$(cksum <tests/hw/prepare.sh | cut -d' ' -f1)
if is_ready; then exit 0; fi
began=$(date +%s)
if ! { tests/deps.sh install hw 2>&1 1>&3 | tee "$cache/deps.log" >&2; } 3>&1; then cannot_be_had "$(tail -n 1 "$cache/deps.log")"; fi
rm -f "$cache/deps.log"
find_kernel || cannot_be_had 'apt knows no linux-image-amd64'
if [ "$(cat "$cache/kernel/version" 2>/dev/null)" = "$wanted" ]; then
    touch "$cache/kernel/version"
    exit 0
fi

say "preparing kernel $release $version (about 200 MB to download)"
rm -rf "$new"
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/debs" "$new/image"
fetch_both || start_again || cannot_be_had "the kernel's packages cannot be downloaded"
dpkg-deb -x "$new"/debs/linux-image-*.deb "$new/image"
unpack_kernel "$new/image/boot/vmlinuz-$release"
unpack_sources "$new"/debs/linux-source-*.deb
build_modules
keep_modules
rm -rf "$new/debs" "$new/image" "$new/build" "$new/build.log" "$new/depends"
echo "$wanted" >"$new/version"
rm -rf "$cache/kernel"
mv "$new" "$cache/kernel"
say "ready after $(($(date +%s) - began)) s; $(du -sh "$cache/kernel" | cut -f1) in $cache/kernel"
