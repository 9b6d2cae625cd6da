"""Prints the copyright file of the Debian package: our licence, and the libraries that it holds, with theirs.

Usage: copyright.py LICENSE SITE-PACKAGES
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path


def licence(metadata: PackageMetadata) -> str:
    """What a library says of its licence, in one line."""
    classified = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License")
    ]
    for said in (metadata.get("License-Expression"), ", ".join(classified), metadata.get("License")):
        if said:
            return " ".join(said.split())[:70]
    return "see there"


def main() -> None:
    ours, site = sys.argv[1:]
    print(Path(ours).read_text("utf-8"))
    print("The package holds these libraries, each unchanged, under its own licence; the texts lie in")
    print("/usr/lib/postroom/lib/python3.*/site-packages/NAME-VERSION.dist-info.")
    print("The GNU Lesser General Public License, version 3, is also in /usr/share/common-licenses/LGPL-3.\n")
    for found in sorted(distributions(path=[site]), key=lambda found: found.name.lower()):
        if found.name != "postroom":
            print(f"  {found.name} {found.version}: {licence(found.metadata)}")


if __name__ == "__main__":
    main()
