from synthworth.job import job

with job(snakemake):
    from synthworth.planning.outputs import show_plan

    show_plan(snakemake.input.markdown)
