module github.com/gatehouse-auth/gatehouse/test/e2e/client

go 1.26.0

replace github.com/gatehouse-auth/gatehouse/verify => ../../../verify

require (
	github.com/gatehouse-auth/gatehouse/verify v0.0.0
	github.com/go-jose/go-jose/v4 v4.1.8
	golang.org/x/sync v0.24.0
)

require github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
