from synthworth.job import job

with job(snakemake):
    from synthworth.memorization.collecting import collect_audits

    collect_audits(snakemake.input.tables, snakemake.output.collected)
