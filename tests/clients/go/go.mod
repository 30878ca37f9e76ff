module igloo.test/clients

go 1.25.0
