"""Is synthetic data worth it, on my images? The contents page: a stage is a file of rules."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/planning.smk"
include: "workflow/rules/base_models.smk"
include: "workflow/rules/generators.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/fidelity.smk"
include: "workflow/rules/audits.smk"
include: "workflow/rules/memorization.smk"
include: "workflow/rules/synthesis.smk"
include: "workflow/rules/assessment.smk"
include: "workflow/rules/classifiers.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/ratings.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    metric_selftest,
    published,
    rating_kit,


rule all:
    default_target: True
    input:
        f"{inputs.home}/report/index.html",


# Do the metrics see what they should, on the study's own real images?
rule metric_selftest:
    input:
        f"{inputs.parts[0]}/figures/figure_metric_selftest.png",
        f"{inputs.parts[0]}/scores/metric_responses.csv",


# Blind kits for readers, in the modes of the config.
rule rating_kit:
    input:
        inputs.kits,


rule published:
    input:
        expand("results/published/tables/{table}.md", table=PUBLISHED_TABLES),
        expand("results/published/figures/{figure}.png", figure=PUBLISHED_FIGURES),
