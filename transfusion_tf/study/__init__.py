"""Does transfer pay on one's own data, and how small may the network be?

`plan` says which runs answer that, `outcome` reads what they left, `footprint`
what a network costs; `verdict` is what follows and by which rule, `words` says
it, `page` shows it all.
"""
