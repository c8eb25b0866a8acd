#!/usr/bin/env bash
# Fonts of Chinese characters for training/experiments/hanzi_fonts.json: out of Debian packages, into data/hanzi_fonts.
# Needs apt; installs nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=(
  fonts-arphic-gbsn00lp fonts-arphic-gkai00mp fonts-arphic-ukai fonts-arphic-uming fonts-cns11643-kai fonts-cwtex-fs
  fonts-hanazono fonts-kiloji fonts-kouzan-mouhitsu fonts-lxgw-wenkai fonts-noto-cjk fonts-seto fonts-smiley-sans
  fonts-wqy-microhei fonts-wqy-zenhei texlive-lang-chinese
)
folder=$PWD/data/hanzi_fonts
mkdir -p "$folder/packages"
(cd "$folder/packages" && apt-get download "${packages[@]}")
for package in "$folder"/packages/*.deb; do dpkg-deb --extract "$package" "$folder/packages/tree"; done
find "$folder/packages/tree/usr/share" -type f \( -name '*.tt[fc]' -o -name '*.otf' \) -exec cp {} "$folder" \;
rm -r "$folder/packages"
echo "$folder: $(find "$folder" -type f | wc -l) fonts"
