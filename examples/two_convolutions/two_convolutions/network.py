"""Two convolutions over space and time, mean over both, linear head."""

from torch import nn

from pdray.models.layers.limits import check_snippets


class TwoConvolutions(nn.Module):
    MAP_LAYERS = ("first", "second")  # of activation maps

    def __init__(self, config, num_classes, num_channels=3):
        super().__init__()
        self.num_channels, self.num_features = num_channels, config.num_features
        self.first = nn.Conv3d(num_channels, self.num_features, 3, stride=(1, 2, 2), padding=1)
        self.second = nn.Conv3d(self.num_features, self.num_features, 3, stride=(1, 2, 2))
        self.fc = nn.Linear(self.num_features, num_classes)

    def features(self, x_BCTHW):
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        return self.second(self.first(x_BCTHW).relu()).relu().mean(dim=(2, 3, 4))

    def classify(self, f_BD):
        return self.fc(f_BD)

    def forward(self, x_BCTHW):
        return self.classify(self.features(x_BCTHW))
