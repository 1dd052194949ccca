package httpapi

import (
	"maps"
	"net/http"

	"github.com/firstcome/firstcome/core/coupon"
)

// codeInternal is the one code that no stage knows: a handler panicked.
const codeInternal coupon.Code = "internal_error"

// problemKind is what every answer with one code has in common.
type problemKind struct {
	status   int
	title    string
	detail   string // English; a handler may say more
	detailKO string // the same in Korean
}

// retrySoon is the Retry-After, in seconds, of answers that are worth repeating soon. One second is the smallest the
// header can say, and about what a rebuild, a failover or a full queue needs.
const retrySoon = 1

// problemKinds is the one table from code to HTTP status, title and text, in three parts. It is complete: a test
// compares it with the codes of core/coupon and with openapi.yaml. Functions, so that nobody can change it.
func problemKinds() map[coupon.Code]problemKind {
	kinds := claimProblems()
	maps.Copy(kinds, commandProblems())
	maps.Copy(kinds, requestProblems())
	return kinds
}

// claimProblems are the refusals of a claim.
func claimProblems() map[coupon.Code]problemKind {
	return map[coupon.Code]problemKind{
		coupon.CodeRevoked: {http.StatusConflict, "The place was given back",
			"Your place of this coupon was given back; there is no second one.",
			"이 쿠폰의 자리가 반납되었거나 회수되었습니다. 다시 받을 수 없습니다."},
		coupon.CodeClosed: {http.StatusGone, "The coupon is closed",
			"The time to claim this coupon is over.",
			"이 쿠폰의 발급이 종료되었습니다."},
		coupon.CodeNotOpen: {http.StatusForbidden, "The coupon is not open yet",
			"Claims are taken from opens_at on; ask again then.",
			"아직 발급 시작 전입니다. opens_at 이후에 다시 요청하세요."},
		coupon.CodePaused: {http.StatusConflict, "The coupon is paused",
			"An administrator has paused this coupon; it may go on later.",
			"쿠폰 발급이 일시 중지되었습니다. 나중에 다시 시도하세요."},
		coupon.CodeUserLimit: {http.StatusConflict, "You have all your places",
			"You have as many places of this coupon as one user may have.",
			"이 쿠폰은 이미 받을 수 있는 최대 수량을 받았습니다."},
		coupon.CodeEventLimit: {http.StatusConflict, "You have a coupon of this event",
			"You have a coupon of this event already; one user gets one.",
			"이 이벤트의 쿠폰을 이미 받았습니다. 이벤트당 한 장만 받을 수 있습니다."},
		coupon.CodeSoldOut: {http.StatusConflict, "Sold out",
			"All places of this coupon are taken.",
			"쿠폰이 모두 소진되었습니다."},
		coupon.CodeRateLimited: {http.StatusTooManyRequests, "Too many requests",
			"You claim more often than one user may; wait and repeat.",
			"요청이 너무 잦습니다. 잠시 후 다시 시도하세요."},
	}
}

// commandProblems are what is not there, and the refusals of a change.
func commandProblems() map[coupon.Code]problemKind {
	return map[coupon.Code]problemKind{
		coupon.CodeCouponNotFound: {http.StatusNotFound, "No such coupon",
			"id: there is no coupon with this id.",
			"id: 해당 쿠폰을 찾을 수 없습니다."},
		coupon.CodeVendorNotFound: {http.StatusNotFound, "No such vendor",
			"vendor_id: there is no vendor with this id.",
			"vendor_id: 해당 판매자를 찾을 수 없습니다."},
		coupon.CodeEventNotFound: {http.StatusNotFound, "No such event",
			"event_id: there is no event with this id.",
			"event_id: 해당 이벤트를 찾을 수 없습니다."},
		coupon.CodeFailedNotFound: {http.StatusNotFound, "No such failed event",
			"id: there is no failed event with this id.",
			"id: 해당 실패 이벤트를 찾을 수 없습니다."},
		coupon.CodeNoIssue: {http.StatusNotFound, "You have no place of this coupon",
			"You have not claimed this coupon, or were refused.",
			"이 쿠폰을 받은 내역이 없습니다."},
		coupon.CodeNameTaken: {http.StatusConflict, "The name is taken",
			"name: there is one of this name already; names are unique.",
			"name: 이미 사용 중인 이름입니다."},
		coupon.CodeBelowIssued: {http.StatusConflict, "Below what is given out",
			"total_quantity: more places than that are given out already.",
			"total_quantity: 새 총수량이 이미 발급된 수량보다 적습니다."},
		coupon.CodeSuperseded: {http.StatusConflict, "Another change came later",
			"Another change of this coupon came later and holds; look at the coupon and decide again.",
			"더 나중의 변경이 적용되었습니다. 쿠폰의 현재 상태를 확인한 뒤 다시 시도하세요."},
	}
}

// requestProblems are what is wrong with the request itself, and what is not known.
func requestProblems() map[coupon.Code]problemKind {
	return map[coupon.Code]problemKind{
		coupon.CodeUnavailable: {http.StatusServiceUnavailable, "Not known at the moment",
			"The outcome is not known. Repeat the request: nothing is undone, and a place that was taken is kept for you.",
			"지금은 결과를 확인할 수 없습니다. 같은 요청을 다시 보내세요. 확보된 자리는 그대로 유지됩니다."},
		codeInternal: {http.StatusInternalServerError, "A fault of ours",
			"The request met a fault of ours. Its request_id helps to find it; repeating the request is safe.",
			"서버 오류가 발생했습니다. request_id와 함께 문의하세요. 같은 요청을 다시 보내도 안전합니다."},
		coupon.CodeInvalidRequest: {http.StatusBadRequest, "The request is not valid",
			"The request is not valid.",
			"요청이 올바르지 않습니다."},
		coupon.CodeUnauthorized: {http.StatusUnauthorized, "A valid token is needed",
			"Authorization: a bearer token is needed.",
			"Authorization: 유효한 토큰이 필요합니다."},
		coupon.CodeForbidden: {http.StatusForbidden, "Not allowed",
			"roles: the token does not have the role admin.",
			"roles: 관리자 권한이 필요합니다."},
		coupon.CodeNotFound: {http.StatusNotFound, "No such path",
			"There is nothing at this path; paths are exact, without a slash at the end.",
			"요청한 경로를 찾을 수 없습니다."},
		coupon.CodeMethodNotAllowed: {http.StatusMethodNotAllowed, "The method is not allowed",
			"This path does not have this method; the header Allow says which it has.",
			"이 경로에서 허용되지 않는 메서드입니다. Allow 헤더를 확인하세요."},
		coupon.CodeBodyTooLarge: {http.StatusRequestEntityTooLarge, "The body is too large",
			"body: must have at most 64 KiB.",
			"body: 요청 본문은 64 KiB 이하여야 합니다."},
		coupon.CodeUnsupportedMediaType: {http.StatusUnsupportedMediaType, "The content type is not supported",
			"Content-Type: must be application/json, and the body not be encoded.",
			"Content-Type: application/json 형식만 지원합니다."},
	}
}
