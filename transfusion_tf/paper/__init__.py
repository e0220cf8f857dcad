"""The paper's study: the runs that it needs, and its tables and figures.

initializations, figure_specs, scales, runs   what each table and figure shows,
                                              and the runs that takes
cca_pairs, cca_results                        networks compared by CCA
costs                                         the time that runs take
run_study                                     trains and compares
study                                         run folders, read
tables, table_format, figures/, claims/       tables, figures and verdicts
write_study, csv_export, provenance           the files of a study
published_values, values/                     the paper's numbers and claims
demo_study/                                   the numbers of the demo
"""
