#!/usr/bin/env bash
# Makes the base image of bentofile.yaml available: from the local store, from its registry, or
# as a substitute built from Debian packages (needs root, mmdebstrap and a Debian mirror).
# Call it through here.py: deploy/podman/here.py deploy/podman/base-image.sh
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
image=${1:-$(sed -n 's/^ *base_image: *//p' "$root/bentofile.yaml")}

if podman image exists "$image"; then
  echo "$image is here"
  exit
fi
if podman pull --quiet "$image"; then
  exit
fi
if ! command -v mmdebstrap >/dev/null; then
  echo "$image: expected its registry or mmdebstrap, got neither" >&2
  echo "help: apt-get install mmdebstrap, or load the image: podman load --input <archive>" >&2
  exit 1
fi

echo "No registry gives $image: building a stand-in from Debian bookworm"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Packages that the official image has too, without documentation.
mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/i18n/*' \
  --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
  bookworm "$folder/base.tar"
podman import --quiet --change 'CMD ["python3"]' --change 'LABEL stand-in=debian-bookworm' \
  "$folder/base.tar" "$image"
