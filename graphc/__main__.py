"""python -m graphc"""

from graphc.cli import main

main()
