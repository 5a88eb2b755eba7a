from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.external import collect_external

    collect_external(
        own=snakemake.input.own,
        comparisons=snakemake.input.comparisons,
        cells=snakemake.input.cells,
        pairs=snakemake.input.near_duplicates,
        output=snakemake.output.effects,
        **spec,
    )
