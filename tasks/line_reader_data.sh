#!/usr/bin/env bash
# Download the fonts and texts that the included line reader is trained on besides real lines, from Debian packages into
# data/line_reader. Needs apt; installs nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
words=(wamerican wdutch wfrench witalian wngerman wportuguese wspanish)
fonts=(breip dancingscript dkg-handwriting femkeklaver klaudia-berenika kaushanscript kristi leckerli-one lobster rufscript sjfonts summersby)
folder=$PWD/data/line_reader
mkdir -p "$folder/fonts" "$folder/packages"
(cd "$folder/packages" && apt-get download "${words[@]}" "${fonts[@]/#/fonts-}")
for package in "$folder"/packages/*.deb; do dpkg-deb --extract "$package" "$folder/packages/tree"; done
find "$folder/packages/tree/usr/share/fonts" \( -name '*.ttf' -o -name '*.otf' \) -exec cp {} "$folder/fonts" \;
python3 tasks/line_reader_texts.py "$folder/packages/tree/usr/share/dict" > "$folder/texts.txt"
echo "$folder: $(find "$folder/fonts" -type f | wc -l) fonts, $(wc -l < "$folder/texts.txt") texts"
