package publish_test

import (
	"github.com/firstcome/firstcome/core/admission/memgate"
	"github.com/firstcome/firstcome/core/admission/redisgate"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/publish"
)

var (
	_ publish.Book = (*ledger.Book)(nil)
	_ publish.Refs = (*ledger.Refs)(nil)
	_ publish.Gate = (*redisgate.Gate)(nil)
	_ publish.Gate = (*memgate.Gate)(nil)
)
