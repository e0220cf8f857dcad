"""Does transfer pay on one's own data, and how small may the network be?

`plan` says which runs answer that, `footprint` what a network costs, `verdict`
what follows from the runs and by which rule, `page` shows it.
"""
