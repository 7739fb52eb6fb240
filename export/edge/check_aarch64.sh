#!/bin/sh
# Runs a model on an emulated 64-bit ARM processor and compares its answers with this machine's.
#
#     sh check_aarch64.sh float32.tflite [FOLDER [TOLERANCE]]
#
# Everything comes from Debian's and Python's registries into FOLDER (default ./aarch64, 200 MB),
# and nothing is installed: qemu-user, a Python for arm64 with its libraries, and the wheels of
# ai-edge-litert and numpy for aarch64. Needs Debian (apt-get, dpkg) on x86-64 and pip, in a Python
# with ai-edge-litert and numpy that PYTHON names (default python3). Fails where any number differs
# by more than TOLERANCE (default 1e-4, for float32; int8 rounds otherwise on ARM: 0.02 is fair).
# The times say nothing of a real board.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
model=$(realpath "${1:?usage: check_aarch64.sh MODEL.tflite [FOLDER [TOLERANCE]]}")
folder=$(realpath -m "${2:-aarch64}")
python=${PYTHON:-python3}
root=$folder/root

# apt-get or apt-cache for an architecture, with package lists of its own: the system's stay as
# they are.
apt() {
    program=$1 lists=$folder/apt-$2
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    shift 2
    (cd "$lists" && "$program" -q -o APT::Architecture="${lists##*-}" \
        -o APT::Architectures="${lists##*-}" -o Dir::State="$lists" -o Dir::Cache="$lists/cache" \
        -o Dir::State::status=/dev/null -o APT::Sandbox::User="$(id -un)" "$@")
}

unpack() { # architecture, folder, packages
    architecture=$1 where=$2
    shift 2
    apt apt-get "$architecture" download "$@"
    for package in "$folder/apt-$architecture"/*.deb; do dpkg -x "$package" "$where"; done
}

prepare() {
    rm -rf "$folder"/apt-* "$root"
    apt apt-get amd64 update
    apt apt-get arm64 update
    unpack amd64 "$folder/qemu" qemu-user-static
    found=$(apt apt-cache arm64 search --names-only '^python3[.][0-9]+-minimal$' |
        sed 's/-minimal.*//' | sort -V | tail -n 1)
    unpack arm64 "$root" "$found-minimal" "lib$found-minimal" "lib$found-stdlib" \
        libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version "${found#python}" \
        --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 -d "$folder/wheels" \
        $("$python" -m pip freeze | grep -E '^(ai-edge-litert|numpy)==')
    "$python" -c 'import sys, zipfile
for wheel in sys.argv[2:]: zipfile.ZipFile(wheel).extractall(sys.argv[1])' \
        "$root/site" "$folder"/wheels/*.whl
    # The emulator shows the files below root/ in place of this machine's. XNNPACK's cpuinfo reads
    # the processor there, and crashes on an x86-64 one; this is a Raspberry Pi 4's.
    mkdir -p "$root/proc" "$root/sys/devices/system/cpu"
    printf '%s\n' 'processor : 0' 'Features : fp asimd evtstrm crc32 cpuid' \
        'CPU implementer : 0x41' 'CPU architecture: 8' 'CPU variant : 0x0' 'CPU part : 0xd08' \
        'CPU revision : 3' >"$root/proc/cpuinfo"
    for name in possible present; do echo 0 >"$root/sys/devices/system/cpu/$name"; done
    mv "$folder/qemu/usr/bin/qemu-aarch64-static" "$folder/qemu-aarch64"
    rm -rf "$folder"/apt-* "$folder/qemu" "$folder/wheels"
    echo "$found" >"$folder/complete"
}

[ -e "$folder/complete" ] || prepare
cat >"$folder/answers.py" <<'EOF'
import platform, sys, time
import numpy as np

sys.path.insert(0, sys.argv[1])
import runner

model, answers, spent = runner.EdgeModel(sys.argv[2]), [], []
for picture in np.random.default_rng(0).integers(0, 256, (24, 120, 160, 3), np.uint8):
    frame = runner.fit_frame(picture, model.facts.size, model.facts.fit)
    begin = time.perf_counter()
    answer = model.push(frame)
    spent.append(time.perf_counter() - begin)
    answers.append(np.concatenate([frame.ravel(), answer.scores, answer.vector]))
np.save(sys.argv[3], np.stack(answers))
print(
    f"{platform.machine()}: Python {platform.python_version()}, numpy {np.__version__}, "
    f"{model.signature}, {len(answers)} frames, {np.median(spent) * 1000:.1f} ms a frame"
)
EOF
"$python" "$folder/answers.py" "$here" "$model" "$folder/here.npy"
PYTHONPATH=$root/site "$folder/qemu-aarch64" -cpu cortex-a72 -L "$root" \
    "$root/usr/bin/$(cat "$folder/complete")" "$folder/answers.py" "$here" "$model" "$folder/there.npy"
"$python" - "$folder" "${3:-1e-4}" <<'EOF'
import sys
import numpy as np

here, there = (np.load(f"{sys.argv[1]}/{name}.npy") for name in ("here", "there"))
difference = float(np.abs(here - there).max())
print(f"largest difference of frames, scores and vectors: {difference:.2e}")
sys.exit(difference > float(sys.argv[2]))
EOF
