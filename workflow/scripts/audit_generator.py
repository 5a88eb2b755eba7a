from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.memorization.auditing import audit_generator

    audit_generator(
        comparisons=snakemake.input.comparisons,
        references=snakemake.input.references,
        selected=snakemake.input.selected,
        images=snakemake.output.images,
        summary=snakemake.output.summary,
        power=snakemake.output.power,
        alarms=snakemake.output.alarms,
        **spec,
    )
