#!/usr/bin/env bash
# Download fonts and strokes of Chinese characters for training/experiments/hanzi_fonts.json from Debian and npm
# packages into data/hanzi_fonts. Needs apt and npm; installs nothing. Licences: those of Debian main; SIL Open Font
# License 1.1 (fonts from npm); Arphic Public License (strokes, from "Make Me a Hanzi").
set -euo pipefail
shopt -s extglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=(
  fonts-arphic-gbsn00lp fonts-arphic-gkai00mp fonts-arphic-ukai fonts-arphic-uming fonts-cns11643-kai fonts-cwtex-fs
  fonts-hanazono fonts-kiloji fonts-kouzan-mouhitsu fonts-lxgw-wenkai fonts-noto-cjk fonts-seto fonts-smiley-sans
  fonts-wqy-microhei fonts-wqy-zenhei texlive-lang-chinese
)
written=( # handwriting styles
  hachi-maru-pop iansui klee-one liu-jian-mao-cao long-cang ma-shan-zheng new-tegomin yomogi yuji-boku yusei-magic
  zcool-kuaile zcool-xiaowei zen-kurenaido zhi-mang-xing
)
folder=$PWD/data/hanzi_fonts
work=$folder/packages
mkdir -p "$work"
cd "$work"
apt-get download "${packages[@]}"
for package in *.deb; do dpkg-deb --extract "$package" tree; done
find tree/usr/share -type f \( -name '*.tt[fc]' -o -name '*.otf' \) -exec cp {} "$folder" \;
for font in "${written[@]}"; do
  tar -xzf "$(npm pack --silent "@fontsource/$font" | tail -n 1)"
  cp "package/files/$font"-@(chinese-simplified|chinese-traditional|japanese)-400-normal.woff "$folder/$font.woff"
  rm -r package
done
tar -xzf "$(npm pack --silent hanzi-writer-data | tail -n 1)"
python3 - package "$folder/strokes.jsonl" <<'PYTHON'
import json, sys
from pathlib import Path

with open(sys.argv[2], "w", encoding="utf-8") as file:
    for path in sorted(Path(sys.argv[1]).glob("?.json")):
        medians = json.loads(path.read_text("utf-8"))["medians"]
        print(json.dumps({"character": path.stem, "medians": medians}, ensure_ascii=False), file=file)
PYTHON
rm -r "$work"
echo "$folder: $(find "$folder" -type f | wc -l) files"
