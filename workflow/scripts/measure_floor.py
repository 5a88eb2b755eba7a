from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.fidelity import measure_floor

    measure_floor(
        images=snakemake.input.get("images"),
        index=snakemake.input.get("index"),
        features=snakemake.input.get("features"),
        reference=snakemake.input.get("reference"),
        output=snakemake.output.floor,
        **spec,
    )
