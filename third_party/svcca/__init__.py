"""Canonical correlation of neural representations (SVCCA, PWCCA).

The public names, argument order, return keys and figures are those of
google/svcca; README.md lists the defects of it that are repaired here.
"""
