"""What one run may use of the machine."""

import dagster as dg


class MachineResource(dg.ConfigurableResource):
    """Threads of one computation. Results do not depend on their number."""

    threads: int = 1
