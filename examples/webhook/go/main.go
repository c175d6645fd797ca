package main

import (
    "encoding/json"
    "net/http"
    "os"

    "github.com/golang-jwt/jwt/v5"
)

type VerifyRequest struct {
    JWT   string `json:"jwt"`
    Topic string `json:"topic"`
}

type VerifyResponse struct {
    Valid     bool    `json:"valid"`
    UserID    *string `json:"user_id"`
    ExpiresAt *int64  `json:"expires_at"`
}

func verifyHandler(w http.ResponseWriter, r *http.Request) {
    var req VerifyRequest
    json.NewDecoder(r.Body).Decode(&req)

    token, err := jwt.Parse(req.JWT, func(t *jwt.Token) (interface{}, error) {
        return []byte(os.Getenv("JWT_SECRET")), nil
    })

    w.Header().Set("Content-Type", "application/json")

    if err != nil || !token.Valid {
        json.NewEncoder(w).Encode(VerifyResponse{Valid: false})
        return
    }

    claims := token.Claims.(jwt.MapClaims)
    userID := claims["sub"].(string)
    exp := int64(claims["exp"].(float64))

    json.NewEncoder(w).Encode(VerifyResponse{
        Valid:     true,
        UserID:    &userID,
        ExpiresAt: &exp,
    })
}

func main() {
    http.HandleFunc("/verify", verifyHandler)
    http.ListenAndServe(":9000", nil)
}
