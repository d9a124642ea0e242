"""What a record of a network around another one has of that."""

import dataclasses

from ltjax.config.kind import told
from ltjax.config.model import CifarResNet, Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Around(Model):
    """A network with something beside another one, whose head and type it has."""

    of: Model = CifarResNet()

    @property
    def head(self):
        """The network's own."""
        return told(self.of, "head")

    @property
    def side(self):
        """The network's own."""
        return told(self.of, "side")

    @property
    def dtype(self):
        """The compute type of the network; what is beside it is float32."""
        return self.of.dtype

    def computed_in(self, dtype):
        """The same with another compute type."""
        return dataclasses.replace(self, of=self.of.computed_in(dtype))

    def check_inner(self, config):
        """Refuses what the network itself refuses."""
        if hasattr(self.of, "check"):
            self.of.check(dataclasses.replace(config, model=self.of))
