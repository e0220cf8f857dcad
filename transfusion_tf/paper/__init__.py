"""The paper's study: which runs it needs, and what is made of run folders.

starts, contents, scales, runs   what each table and figure shows, and which
                                 runs that takes, at which size
comparisons, costs               which networks are compared; what runs cost
results, study, paired           run folders, read; runs on the same patients
statistics                       spread, intervals, tests
tables, cells, figures/, claims/ what is printed, drawn and judged
report, publish, provenance      report.html and its files
frames                           the study's numbers as plain tables
values/                          the paper's own figures, with their source
demo_study/                      the numbers of the demo, carried out
"""
