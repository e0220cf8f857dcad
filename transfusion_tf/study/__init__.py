"""Studies: does transfer pay on a data set, and how small may the model be?

`plan` lists the runs, `runner` trains them, `outcome` and `results` read them,
`decision` states the rule that `recommendation_text` puts into sentences, and
`study_page` writes the report.
"""
