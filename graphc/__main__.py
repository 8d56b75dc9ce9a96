"""python -m graphc"""

from graphc.program import main

main()
