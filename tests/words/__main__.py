"""`python -m tests.words`: write the collected words into locale/ (`make messages`)."""

import sys

from tests.words.collect import ROOT, collect

for domain, text in collect().items():
    path = ROOT / "locale" / f"{domain}.pot"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    sys.stdout.write(f"{path.name}: {text.decode().count('msgid ') - 1} texts\n")
